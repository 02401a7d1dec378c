"""One case's profile, from processes that each look at one side of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.axes.case import Case, case_id
from bench.measure import facts, settings
from bench.profile import sampling
from bench.profile.model import (
    Compiled,
    Cost,
    Gap,
    Holder,
    Kernel,
    Memory,
    Operator,
    PhaseTime,
    Profile,
)
from bench.suite.fresh import HARNESS, FreshError, ask

STEPS = 40
SAMPLED_SECONDS = 6.0
WORKING_TREE = "working tree"
Say = Callable[[str], None]


class ProfileError(Exception):
    """A case that cannot be profiled. The message is for the user."""


@dataclass(frozen=True)
class Source:
    """The program to look at: `tree` holds its `fcnn`; `name` is what it is called, such as a git ref."""

    tree: Path
    name: str = WORKING_TREE


@dataclass(frozen=True)
class Images:
    """The images: the dataset's name (or `bench.suite.fresh.EMBEDDED`), the data root, their checksum and label."""

    dataset: str
    data: str
    sha256: str
    label: str


def profile(case: Case, source: Source, images: Images, traces: Path, steps: int, say: Say) -> Profile:
    """Takes `case` apart.

    Args:
        case: Its threads are resolved.
        source: Whose `fcnn`.
        images: With which images.
        traces: Folder for the trace.
        steps: Traced steps, fewer if the trace would be too large.
        say: Told what is under way.

    Raises:
        ProfileError: The traced process failed.
    """
    usual = case.threads == settings.default_threads()
    id = case_id(dataclasses.replace(case, threads=0) if usual else case)
    called = id if source.name == WORKING_TREE else f"{id} at {source.name}"
    file = traces.resolve() / f"{_plain(called)}.json.gz"
    if file.exists():  # the other side of a comparison, called the same
        file = file.with_name(f"{_plain(called)}-b.json.gz")
    asked = {
        "tree": str(source.tree), "case": dataclasses.asdict(case), **dataclasses.asdict(images),
        "steps": steps, "seconds": SAMPLED_SECONDS, "file": str(file),
    }  # fmt: skip
    missing: dict[str, str] = {}
    say("trace")
    traced = _ask({**asked, "what": "trace"})
    say("Python stacks")
    python = sampling.Sampled({})
    try:
        words = ["-m", "bench.profile.child"]
        output = file.with_name(".python.raw")
        loop = json.dumps({**asked, "what": "loop"})
        python = sampling.sample(words, loop, output, HARNESS, SAMPLED_SECONDS)
    except sampling.SamplingError as error:
        missing["python"] = str(error)
    finally:
        file.with_name(".python.raw").unlink(missing_ok=True)
    say("memory")
    growth = traced["growth_bytes"]
    try:
        found = _ask({**asked, "what": "memory"})
        holders = [Holder(**holder) for holder in found.pop("holders", [])]
        memory = Memory(**found, holders=holders, growth_bytes=growth)
    except ProfileError as error:
        memory = Memory(growth_bytes=growth, missing={"timeline and holders": str(error)})
    compiled = None
    if case.compiler != "off":
        say("compiling")
        try:
            compiled = Compiled(**_ask({**asked, "what": "compiled"}))
        except ProfileError as error:
            missing["compiled"] = str(error)
    return Profile(
        id=id,
        case=dataclasses.asdict(case),
        source=called,
        machine=facts.machine([case.device]).label,
        dataset=images.label,
        torch=facts.environment(["cpu"])["software"].get("torch", "unknown"),
        steps=traced["steps"],
        cost=Cost(**traced["cost"]),
        phases=[PhaseTime(**phase) for phase in traced["phases"]],
        operators=[Operator(**operator) for operator in traced["operators"]],
        operator_stacks=traced["operator_stacks"],
        kernels=[Kernel(**kernel) for kernel in traced["kernels"]],
        gaps=[Gap(**gap) for gap in traced["gaps"]],
        python_stacks=python.stacks,
        python_torn=python.torn,
        memory=memory,
        compiled=compiled,
        trace_file=file.name,
        trace_bytes=file.stat().st_size,
        missing=missing,
    )


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in text).strip("-")


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """The child's answer; raises ProfileError."""
    try:
        found: dict[str, Any] = ask("bench.profile.child", request, KINETO_LOG_LEVEL="99")
    except FreshError as error:
        raise ProfileError(f"the process for {request['what']} failed: {error}") from error
    return found
