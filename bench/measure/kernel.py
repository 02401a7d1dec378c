"""What Linux tells in files below `/proc` and `/sys`, and what its counts have grown by during a watch."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.record.model import Beside

PROC, SYS = Path("/proc"), Path("/sys")
NOT_WATCHED = "not watched before the run, but beside every round of it"
# A condition's state, its effect on the numbers, and its remedy.
Answer: TypeAlias = tuple[str, str | None, str | None]
STEAL_WORD = 8  # of the line that begins with "cpu" in `/proc/stat`


class NotKnownError(Exception):
    """The system does not tell. The message says why, for people."""


def read(path: Path) -> str:
    """What the file says, without white space around it; raises NotKnownError."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except FileNotFoundError as error:
        raise NotKnownError(f"this system has no {path}") from error
    except OSError as error:
        raise NotKnownError(f"{path} cannot be read: {error.strerror}") from error


def usable_cpus() -> set[int]:
    """Logical CPUs that this process may run on; raises NotKnownError."""
    if not hasattr(os, "sched_getaffinity"):
        raise NotKnownError("this system does not tell which CPUs this process may use")
    return os.sched_getaffinity(0)


def cpu_folder(cpu: int) -> Path:
    """Of a logical CPU."""
    return SYS / f"devices/system/cpu/cpu{cpu}"


def cpus(text: str) -> set[int]:
    """The numbers in a list as the kernel writes it, such as "0-3,8"; raises ValueError."""
    numbers: set[int] = set()
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def listed(numbers: Iterable[int]) -> str:
    """The numbers as such a list."""
    # Numbers that follow each other are equally far from their places.
    runs = itertools.groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])
    ends = [(run[0][1], run[-1][1]) for run in (list(pairs) for _, pairs in runs)]
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ends)


@dataclass(frozen=True)
class Meanwhile:
    """What the kernel counted during a watch; None without a watch, or where the system does not tell.

    Attributes:
        stolen_cores: CPUs that could have run and that the hypervisor did not let run, on average.
        swapped_pages: Pages of memory that went to swap or came from there.
    """

    stolen_cores: float | None = None
    swapped_pages: int | None = None


@dataclass(frozen=True)
class Watched:
    """What conditions are judged by, beside the files.

    Attributes:
        beside: What a watch saw; without one, an empty `Beside()`.
        meanwhile: What the kernel counted during that watch.
        gpu: The uuid of the GPU that is used; None without one.
    """

    beside: Beside
    meanwhile: Meanwhile
    gpu: str | None = None


class KernelWatch:
    """Watches the kernel's counts from construction to `seen`."""

    def __init__(self) -> None:
        self._begin_seconds, self._stolen, self._swapped = time.monotonic(), _stolen_seconds(), _swapped_pages()

    def seen(self) -> Meanwhile:
        """What they have grown by."""
        seconds = max(time.monotonic() - self._begin_seconds, 1e-9)
        stolen, swapped = _stolen_seconds(), _swapped_pages()
        return Meanwhile(
            None if stolen is None or self._stolen is None else max(0.0, stolen - self._stolen) / seconds,
            None if swapped is None or self._swapped is None else swapped - self._swapped,
        )


def _stolen_seconds() -> float | None:
    """Of all CPUs since the system's start (`filesystems/proc.rst`, `/proc/stat`); None where it does not tell."""
    try:
        # It counts in ticks of user space.
        return int(read(PROC / "stat").split("\n")[0].split()[STEAL_WORD]) / os.sysconf("SC_CLK_TCK")
    except (NotKnownError, ValueError, IndexError):
        return None


def _swapped_pages() -> int | None:
    """`pswpin` and `pswpout` of `/proc/vmstat` since the system's start; None where it does not tell."""
    try:
        counts = dict(line.split() for line in read(PROC / "vmstat").splitlines())
        return int(counts["pswpin"]) + int(counts["pswpout"])
    except (NotKnownError, ValueError, KeyError):
        return None
