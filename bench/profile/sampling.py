"""The Python side of a case: py-spy looks at a process that does nothing but its steps."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

SAMPLES_PER_SECOND = 200
START_SECONDS = 60.0  # at most, until a process has its steps under way, on a busy machine
ROOTS = ("train_epoch", "train_step", "_repeat_part")  # what stands above these is the harness


class SamplingError(Exception):
    """Why there are no samples."""


@dataclass(frozen=True)
class Sampled:
    """Samples of the Python stack by stack, frames joined by `;`.

    Attributes:
        torn: Whether the process ran on while it was looked at: a few stacks may be of two moments.
    """

    stacks: dict[str, int]
    torn: bool = False


def program() -> str | None:
    """Where py-spy is: beside this Python, else on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def sample(words: list[str], request: str, output: Path, cwd: Path, seconds: float) -> Sampled:
    """Samples `words` while they run for some `seconds` with `request` as their input.

    py-spy stops all threads of the process for every sample. With many of them it may never let them go again
    (py-spy, issue 872); then the process is looked at once more while it runs.

    Raises:
        SamplingError: py-spy is not there, may not look, or saw nothing; the message says what to do.
    """
    found = program()
    if found is None:
        raise SamplingError("py-spy is not installed: pip install py-spy")
    asked = [found, "record", "--rate", str(SAMPLES_PER_SECOND), "--function", "--format", "raw"]
    looked_at = ["--output", str(output), "--", sys.executable, *words]
    limit_seconds = seconds + START_SECONDS
    for running in ([], ["--nonblocking"]):
        with contextlib.suppress(subprocess.TimeoutExpired):
            said = _run([*asked, *running, *looked_at], request, cwd, limit_seconds)
            break
    else:
        raise SamplingError(f"py-spy was still not done after {limit_seconds:.0f} s, and was ended")
    if not output.exists():
        last = (said.strip().splitlines() or ["it wrote nothing"])[-1]
        raise SamplingError(f"py-spy could not look into the process: {last}")
    stacks = read_stacks(output.read_text("utf-8"))
    if not stacks:
        raise SamplingError("py-spy saw no step: the process ended too soon")
    return Sampled(stacks, torn=bool(running))


def _run(words: list[str], request: str, cwd: Path, limit_seconds: float) -> str:
    """What it says on standard error; raises TimeoutExpired when it and the process that it looks at were ended."""
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=cwd,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, said = process.communicate(request, limit_seconds)
    finally:
        # Interrupted, py-spy would leave the process that it looks at to itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return said


def read_stacks(text: str) -> dict[str, int]:
    """py-spy's raw format, a stack and its samples a line; from the training loop on, other threads left out."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        at = next((n for n, frame in enumerate(frames) if frame.partition(" (")[0] in ROOTS), None)
        if at is not None and count.isdecimal():
            kept = ";".join(frames[at:])
            found[kept] = found.get(kept, 0) + int(count)
    return found
