"""One case's profile, from processes that each look at one side of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import interruption
from bench.axes.case import Case, case_id
from bench.axes.compilers import COMPILERS
from bench.errors import BenchError
from bench.measure import facts, settings
from bench.profile import sampling
from bench.profile.disturbed import joined
from bench.profile.model import (
    CompiledCase,
    Cost,
    Gap,
    Holder,
    Kernel,
    Memory,
    Operator,
    PhaseTime,
    Profile,
)
from bench.record import files
from bench.workers.conversation import NoAnswer, WorkerDied, WorkerError
from bench.workers.process import ask_once, worker_words

TRACED_STEPS = 40
SAMPLED_SECONDS = 6.0
LIMIT_SECONDS = 300.0  # for each side of a profile; 15 s are usual
WORKING_TREE = "working tree"
INTERRUPTED = "interrupted"
LONGEST_NAME = 120  # of a trace's file; a git ref may have any length
LOOKING = {"trace": "it was traced", "memory": "its memory was watched", "compiled": "it was compiled"}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """The program to look at.

    Attributes:
        tree: Holds its `fcnn`, or the program of the user's own.
        name: What it is called, such as a git ref.
        program: The path in there of a program of the user's own; empty for `fcnn`.
        folder: Where that is run.
    """

    tree: Path
    name: str = WORKING_TREE
    program: str = ""
    folder: str = ""


@dataclass(frozen=True)
class ImageSource:
    """The images: the dataset's name (or `bench.workers.images.EMBEDDED`), the data root, their checksum and label."""

    dataset: str
    data: str
    sha256: str
    label: str


def profile(case: Case, source: Source, images: ImageSource, traces: Path, steps: int, say: Say) -> Profile:
    """Takes `case` apart.

    Args:
        case: Its threads are resolved.
        source: Whose `fcnn`.
        images: With which images.
        traces: Folder for the trace.
        steps: Traced steps, fewer if the trace would be too large.
        say: Told what is under way.

    After an interruption the profile has the sides that were looked at by then.

    Raises:
        BenchError: The traced process failed.
        KeyboardInterrupt: Nothing was measured by then.
    """
    usual = case.threads == settings.default_threads()
    id = case_id(dataclasses.replace(case, threads=0) if usual else case)
    called = id if source.name == WORKING_TREE else f"{id} at {source.name}"
    file = traces.resolve() / f"{_plain(called)}.json.gz"
    if file.exists():  # the other side of a comparison, called the same
        file = file.with_name(f"{_plain(called)}-b.json.gz")
    request = {
        "tree": str(source.tree), "case": dataclasses.asdict(case), **dataclasses.asdict(images),
        "steps": steps, "seconds": SAMPLED_SECONDS, "file": str(file),
        "program": source.program, "folder": source.folder,
    }  # fmt: skip
    with files.scratch() as folder:
        try:
            sides = _look(request, case, folder, say)
        except BaseException as error:
            file.unlink(missing_ok=True)  # the other side of a comparison may stay
            if isinstance(error, BenchError) and source.name != WORKING_TREE:
                raise BenchError(f"at {source.name}: {error}", error.exit_code) from error
            raise
    traced, python = sides.traced, sides.python
    return Profile(
        id=id,
        case=dataclasses.asdict(case),
        source=called,
        machine=facts.machine().label,
        dataset=images.label,
        torch=facts.version("torch") or "unknown",
        steps=traced["steps"],
        cost=Cost(**traced["cost"]),
        phases=[PhaseTime(**phase) for phase in traced["phases"]],
        operators=[Operator(**operator) for operator in traced["operators"]],
        operator_stacks=traced["operator_stacks"],
        kernels=[Kernel(**kernel) for kernel in traced["kernels"]],
        gaps=[Gap(**gap) for gap in traced["gaps"]],
        python_stacks=python.stacks,
        python_torn=python.torn,
        memory=sides.memory,
        compiled=sides.compiled,
        trace_file=file.name,
        trace_bytes=file.stat().st_size,
        missing=sides.missing,
        interrupted=sides.interrupted,
        disturbed=joined(sides.disturbances),
    )


@dataclass
class _Sides:
    """What the processes saw, each of its side; why one saw nothing; what went on beside those that are timed."""

    traced: dict[str, Any]
    memory: Memory
    python: sampling.Sampled = field(default_factory=lambda: sampling.Sampled({}))
    compiled: CompiledCase | None = None
    missing: dict[str, str] = field(default_factory=dict)
    disturbances: dict[str, str | None] = field(default_factory=dict)
    interrupted: bool = False


def _look(request: dict[str, Any], case: Case, folder: Path, say: Say) -> _Sides:
    """Asks one process after the other; `folder` is what they take for the system's temporary one.

    So that nothing is left of a process that is killed. Without a trace there is nothing; of the other sides, one that
    fails costs only itself, and an interruption those that are left.
    """
    with interruption.allowed():
        say("trace")
        traced = _ask({**request, "what": "trace"}, folder)
    sides = _Sides(traced, Memory(growth_bytes=traced["growth_bytes"]), disturbances={"trace": traced["disturbed"]})
    others = [
        ("Python stacks", _look_at_python, "python"),
        ("memory", _look_at_memory, "timeline and holders"),
    ]
    if COMPILERS[case.compiler].mode:
        others.append(("compiling", _look_at_compiling, "compiled"))
    for what, look, name in others:
        missing = sides.memory.missing if what == "memory" else sides.missing
        try:
            if not sides.interrupted:
                with interruption.allowed():
                    say(what)
                    look(sides, request, folder)
        except BenchError as error:
            missing[name] = str(error)
        except KeyboardInterrupt:
            sides.interrupted = True
        if sides.interrupted:
            missing[name] = INTERRUPTED
    return sides


def _look_at_python(sides: _Sides, request: dict[str, Any], folder: Path) -> None:
    sides.python = sampling.sample(worker_words(), {**request, "what": "loop"}, folder, SAMPLED_SECONDS)
    sides.disturbances["Python stacks"] = sides.python.disturbed


def _look_at_memory(sides: _Sides, request: dict[str, Any], folder: Path) -> None:
    held = _ask({**request, "what": "memory"}, folder)
    holders = [Holder(**holder) for holder in held.pop("holders", [])]
    sides.memory = dataclasses.replace(sides.memory, holders=holders, **held)


def _look_at_compiling(sides: _Sides, request: dict[str, Any], folder: Path) -> None:
    answer = _ask({**request, "what": "compiled"}, folder)
    sides.compiled = CompiledCase(**answer["compiled"])
    sides.disturbances["compiling"] = answer["disturbed"]


def _plain(text: str) -> str:
    """A file's name, from whatever a ref is called."""
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in text)
    return kept[:LONGEST_NAME].strip("-")


def _ask(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A fresh worker's answer; raises WorkerError."""
    variables = {"KINETO_LOG_LEVEL": "99", "TMPDIR": str(folder)}
    try:
        answer: dict[str, Any] = ask_once("profile", LIMIT_SECONDS, "it", variables, **request)
    except WorkerError as error:
        raise WorkerError(_why_failed(request, error)) from error
    return answer


def _why_failed(request: dict[str, Any], error: WorkerError) -> str:
    """Why a process failed, which of a program of the user's own says so itself, or has it ended."""
    if request["program"] and isinstance(error, NoAnswer):
        return f"{request['program']}: {error}"
    if request["program"] and isinstance(error, WorkerDied):
        return f"{request['program']}: its process died while {LOOKING[request['what']]}: {error}"
    named = Path(request["tree"], str(error).partition(":")[0])
    if request["program"] and os.path.isfile(named):  # noqa: PTH113 -- of whatever text, however long
        return str(error)
    return f"the process for {request['what']} failed: {error}"
