"""What Linux's control groups grant this process: cores, memory, and for how long it had to wait for its quota.

Every group from the process's own up to the root may have a limit, and the tightest counts. Both versions are read,
also side by side (hybrid). Sources: cgroups(7) and proc(5) for `cgroup` and `mountinfo`; the kernel's
`admin-guide/cgroup-v2.rst` and `scheduler/sched-bwc.rst` for the files of a group. What is absent, hidden or malformed
grants no limit: other systems have none of these files, and a container hides some.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")
UNLIMITED_BYTES = 1 << 62  # version 1 has no word for it and gives the largest number of whole pages below 2**63
THROTTLED_PER_SECOND = {"throttled_usec": 1e6, "throttled_time": 1e9}  # version 2 and version 1


def quota_cores() -> float | None:
    """Cores that the tightest quota grants (`cpu.max`, or `cpu.cfs_quota_us` per period); None without a quota."""
    quotas = []
    for group in _groups("cpu"):
        text = _text(group / "cpu.max") or f"{_text(group / 'cpu.cfs_quota_us')} {_text(group / 'cpu.cfs_period_us')}"
        # Without a quota the first of the two is "max" or "-1".
        numbers = [int(word) for word in text.split() if word.isdecimal()]
        if len(numbers) == 2 and all(numbers):
            quotas.append(numbers[0] / numbers[1])
    return min(quotas, default=None)


def stopped_seconds() -> float:
    """For how long quotas have stopped threads so far, in seconds, summed over the cores and the groups.

    Summed, since what counts is the growth: a group that was stopped for long in the past would hide another.
    """
    seconds = 0.0
    for group in _groups("cpu"):
        for line in _text(group / "cpu.stat").split("\n"):
            name, _, count = line.partition(" ")
            if name in THROTTLED_PER_SECOND and count.isdecimal():
                seconds += int(count) / THROTTLED_PER_SECOND[name]
    return seconds


def memory_limit_bytes() -> int | None:
    """The tightest limit of memory (`memory.max`, or `memory.limit_in_bytes`), in bytes; None without one."""
    words = [
        (_text(group / "memory.max") or _text(group / "memory.limit_in_bytes")).strip() for group in _groups("memory")
    ]
    limits = [int(word) for word in words if word.isdecimal()]
    return min((limit for limit in limits if limit < UNLIMITED_BYTES), default=None)


def _text(path: Path) -> str:
    """What the file says; empty if it cannot be read."""
    try:
        return path.read_text("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return ""


def _groups(controller: str) -> list[Path]:
    """Folders of the process's own group and of those above it that are mounted here, in all hierarchies with it."""
    mounts = list(_mounts())
    groups: list[Path] = []
    for line in _text(PROCESS / "cgroup").split("\n"):
        # Such as "4:cpu,cpuacct:/outer/inner"; version 2 has one hierarchy for all controllers: "0::/outer/inner".
        number, _, rest = line.partition(":")
        controllers, _, own = rest.partition(":")
        if number == "0" and not controllers:
            here = [mount for mount in mounts if mount.version == 2]
        elif controller in controllers.split(","):
            here = [mount for mount in mounts if mount.version == 1 and controller in mount.options]
        else:
            continue
        # The same groups can be mounted at several places, and are read at the one that shows most of them.
        most = max((mount.upwards(own) for mount in here), key=len, default=list[Path]())
        groups += most
    return groups


@dataclass(frozen=True)
class _Mount:
    """Where a hierarchy of groups is mounted.

    Attributes:
        version: 1 or 2.
        options: Those of the hierarchy; version 1 names its controllers among them.
        root: The group that the mount point shows, as seen from the process's namespace.
        point: The mount point.
    """

    version: int
    options: tuple[str, ...]
    root: str
    point: Path

    def upwards(self, own: str) -> list[Path]:
        """Folders of the group `own` and of all above it that can be seen here; empty if it is not among them."""
        below, above = ([part for part in path.split("/") if part] for path in (own, self.root))
        common = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(below, above, strict=False))))
        below, above = below[common:], above[common:]
        if ".." in below or set(above) - {".."}:
            return []
        if above:
            # The mount shows a group above the namespace, which does not tell the names on the way down.
            below = []
        folder = self.point.joinpath(*below)
        return [folder, *folder.parents[: len(below)]]


def _mounts() -> Iterator[_Mount]:
    """Mounted hierarchies, from lines such as "33 31 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu"."""
    for line in _text(PROCESS / "mountinfo").split("\n"):
        before, _, after = line.partition(" - ")
        place, system = before.split(" "), after.split(" ")
        if len(place) >= 5 and system[0] in ("cgroup", "cgroup2"):
            version = 2 if system[0] == "cgroup2" else 1
            yield _Mount(version, tuple(system[-1].split(",")), _unescaped(place[3]), Path(_unescaped(place[4])))


def _unescaped(path: str) -> str:
    r"""Undoes how mountinfo writes spaces, tabs, newlines and backslashes: as octal numbers, such as `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
