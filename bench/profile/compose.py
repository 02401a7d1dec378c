"""One case's profile, from processes that each look at one side of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.axes.case import Case, case_id
from bench.measure import facts
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

STEPS = 40
SAMPLED_SECONDS = 6.0
HARNESS = Path(__file__).parents[2]
Say = Callable[[str], None]


class ProfileError(Exception):
    """A case that cannot be profiled. The message is for the user."""


@dataclass(frozen=True)
class Source:
    """The program to look at: `tree` holds its `fcnn`; `name` is what it is called, such as a git ref."""

    tree: Path
    name: str


def profile(
    case: Case, source: Source, dataset: str, label: str, data: Path | None, traces: Path, steps: int, say: Say
) -> Profile:
    """Takes `case` apart.

    Args:
        case: Its threads are resolved.
        source: Whose `fcnn`.
        dataset: The images' name; `label` is what a reader is told.
        label: As above.
        data: Data root, or None for the usual one.
        traces: Folder for the trace.
        steps: Traced steps, fewer if the trace would be too large.
        say: Told what is under way.

    Raises:
        ProfileError: The traced process failed.
    """
    planned = dataclasses.replace(case, threads=0)
    id = case_id(planned)
    file = traces / f"{_plain(id)}{'' if source.name == 'working tree' else '-' + _plain(source.name)}.json.gz"
    asked = {
        "tree": str(source.tree), "case": dataclasses.asdict(case), "dataset": dataset,
        "data": str(data) if data else None, "steps": steps, "seconds": SAMPLED_SECONDS, "file": str(file),
    }  # fmt: skip
    missing: dict[str, str] = {}
    say("trace")
    traced = _ask({**asked, "what": "trace"})
    say("Python stacks")
    python_stacks: dict[str, int] = {}
    try:
        words = ["-m", "bench.profile.child"]
        output = traces / ".python.raw"
        python_stacks = sampling.sample(words, json.dumps({**asked, "what": "loop"}), output, HARNESS)
    except sampling.SamplingError as error:
        missing["python"] = str(error)
    finally:
        (traces / ".python.raw").unlink(missing_ok=True)
    say("memory")
    memory = Memory(missing={"memory": "not looked at"})
    try:
        found = _ask({**asked, "what": "memory"})
        holders = [Holder(**holder) for holder in found.pop("holders", [])]
        memory = Memory(**found, holders=holders, growth_bytes=traced["growth_bytes"])
    except ProfileError as error:
        missing["memory"] = str(error)
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
        source=f"{id}" if source.name == "working tree" else f"{id} at {source.name}",
        machine=facts.machine([case.device]).label,
        dataset=label,
        torch=facts.environment(["cpu"])["software"].get("torch", "unknown"),
        steps=traced["steps"],
        cost=Cost(**traced["cost"]),
        phases=[PhaseTime(**phase) for phase in traced["phases"]],
        operators=[Operator(**operator) for operator in traced["operators"]],
        operator_stacks=traced["operator_stacks"],
        kernels=[Kernel(**kernel) for kernel in traced["kernels"]],
        gaps=[Gap(**gap) for gap in traced["gaps"]],
        python_stacks=python_stacks,
        memory=memory,
        compiled=compiled,
        trace_file=file.name,
        trace_bytes=file.stat().st_size,
        missing=missing,
    )


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in text).strip("-")


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """The child's answer; raises ProfileError with its last line."""
    environment = {**os.environ, "KINETO_LOG_LEVEL": "99"}
    run = subprocess.run(
        [sys.executable, "-m", "bench.profile.child"],
        input=json.dumps(request), capture_output=True, text=True, cwd=HARNESS, env=environment, check=False,
    )  # fmt: skip
    if run.returncode == 0 and run.stdout.strip():
        with contextlib.suppress(json.JSONDecodeError):
            found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
            return found
    last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
    raise ProfileError(f"the process for {request['what']} failed: {last}")
