"""The Python side of a case: py-spy looks at a process that does nothing but its steps."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

SAMPLES_PER_SECOND = 200
ROOTS = ("train_epoch", "train_step", "_repeat_part")  # what stands above these is the harness


class SamplingError(Exception):
    """Why there are no samples."""


def program() -> str | None:
    """Where py-spy is: beside this Python, else on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def sample(words: list[str], request: str, output: Path, cwd: Path) -> dict[str, int]:
    """Samples of the Python stack by stack while `words` run with `request` as their input.

    Raises:
        SamplingError: py-spy is not there, may not look, or saw nothing; the message says what to do.
    """
    found = program()
    if found is None:
        raise SamplingError("py-spy is not installed: pip install py-spy")
    asked = [found, "record", "--rate", str(SAMPLES_PER_SECOND), "--function", "--format", "raw"]
    process = subprocess.Popen(
        [*asked, "--output", str(output), "--", sys.executable, *words],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=cwd,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, said = process.communicate(request)
    finally:
        # Interrupted, py-spy would leave the process that it looks at to itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not output.exists():
        last = (said.strip().splitlines() or ["it wrote nothing"])[-1]
        raise SamplingError(f"py-spy could not look into the process: {last}")
    stacks = read_stacks(output.read_text("utf-8"))
    if not stacks:
        raise SamplingError("py-spy saw no step: the process ended too soon")
    return stacks


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
