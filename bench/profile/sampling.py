"""The Python side of a case: py-spy looks at a process that does nothing but its steps."""

from __future__ import annotations

import dataclasses
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.measure.surroundings import Surroundings
from bench.workers.conversation import WorkerError
from bench.workers.process import Process

SAMPLES_PER_SECOND = 200
START_SECONDS = 60.0  # at most, until a process has its steps under way, on a busy machine
ROOTS = ("train_epoch", "train_step", "_repeat_part")  # what stands above these is the harness


@dataclass(frozen=True)
class Sampled:
    """Samples of the Python stack by stack, frames joined by `;`.

    Attributes:
        torn: Whether the process ran on while it was looked at: a few stacks may be of two moments.
        disturbed: What went on beside it meanwhile; None if nothing did.
    """

    stacks: dict[str, int]
    torn: bool = False
    disturbed: str | None = None


def program() -> str | None:
    """Where py-spy is: beside this Python, else on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def sample(words: list[str], request: dict[str, Any], folder: Path, seconds: float) -> Sampled:
    """Samples `words` while they work on `request` for some `seconds`.

    py-spy stops all threads of the process for every sample. With many of them it may never let them go again
    (py-spy, issue 872); then the process is looked at once more while it runs.

    Args:
        words: A command that is a worker.
        request: What it is asked.
        folder: A temporary folder for both.
        seconds: How long it works on the request once it has begun.

    Raises:
        BenchError: py-spy is not there, may not look, or saw nothing; the message says what to do.
    """
    py_spy = program()
    if py_spy is None:
        raise BenchError("py-spy is not installed: pip install py-spy")
    record = [py_spy, "record", "--rate", str(SAMPLES_PER_SECOND), "--function", "--format", "raw"]
    limit_seconds = seconds + START_SECONDS
    stopped, running = folder / "stopped", folder / "running"
    try:
        return _sampled([*record, "--output", str(stopped), "--", *words], request, stopped, limit_seconds)
    except BenchError:
        seen = _sampled(
            [*record, "--nonblocking", "--output", str(running), "--", *words], request, running, limit_seconds
        )
        return dataclasses.replace(seen, torn=True)


def _sampled(words: list[str], request: dict[str, Any], output: Path, limit_seconds: float) -> Sampled:
    with Process(words, {"TMPDIR": str(output.parent)}, called="py-spy") as process:
        surroundings = Surroundings()
        try:
            process.ask("profile", limit_seconds, **request)
            # While the process is there: of one that has ended below py-spy, nobody knows how much it computed.
            disturbed = surroundings.disturbance()
            reason = process.wait_for_end(limit_seconds)  # so that py-spy writes what it has seen
        except WorkerError as error:
            raise BenchError(f"py-spy saw nothing of the process: {error}") from error
    if not output.exists():
        raise BenchError(f"py-spy wrote nothing: {reason}")
    stacks = read_stacks(output.read_text("utf-8", errors="replace"))
    if not stacks:
        raise BenchError("py-spy saw no step: the process ended too soon")
    return Sampled(stacks, disturbed=disturbed)


def read_stacks(text: str) -> dict[str, int]:
    """py-spy's raw format, a stack and its samples a line; from the training loop on, other threads left out."""
    samples: dict[str, int] = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        at = next((n for n, frame in enumerate(frames) if frame.partition(" (")[0] in ROOTS), None)
        if at is not None and count.isdecimal():
            kept = ";".join(frames[at:])
            samples[kept] = samples.get(kept, 0) + int(count)
    return samples
