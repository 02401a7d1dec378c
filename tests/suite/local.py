"""Workers in the process of the test, where it can plant what it likes; a run of them on small images."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from bench.axes.case import Case, case_id
from bench.errors import reason_of
from bench.record.folding import folded
from bench.record.journal import Journal
from bench.record.model import Record
from bench.suite import header, session
from bench.suite.costs import groups
from bench.suite.plan import Effort, Plan, Share
from bench.workers import serve
from bench.workers.conversation import WorkerError
from bench.workers.serve import State

QUICK = Effort(step_seconds=0.02, epochs=3, seeds=2, thorough=False)


class Workers:
    """Stands for `bench.workers.start.Workers`."""

    def __init__(self, images: Any, program: Mapping[str, str] | None = None) -> None:
        self.images, self.program = images, program

    def wait(self) -> None:
        """The images are there."""

    def afresh(self, name: str, limit_seconds: float, called: str, environment: Any = None, /, **more: Any) -> Any:
        """What one with the images answers, which are those of the test."""
        return Local(self.images).ask(name, limit_seconds, **{"dataset": "", "data": None, **more})

    @contextlib.contextmanager
    def start(self, called: str = "the worker") -> Iterator[Local]:
        """A worker with a state of its own."""
        local = Local(self.images)
        if self.program:
            local.ask("own", **self.program)
        try:
            yield local
        finally:
            torch._dynamo.reset()  # a process of its own would have compiled nothing


class Local:
    """Answers as a worker does."""

    def __init__(self, images: Any) -> None:
        self.state, self.pid = State(images), os.getpid()

    def ask(self, name: str, limit_seconds: float = 0.0, **arguments: Any) -> Any:
        """The row's function, called here; what it raises is a WorkerError."""
        try:
            return serve.function(name)(self.state, **arguments)
        except (Exception, SystemExit) as error:
            raise WorkerError(reason_of(error)) from error


def options(**chosen: Any) -> dict[str, Any]:
    """What a command line chooses that names only these."""
    from bench.axes import matrix

    names = dict.fromkeys(matrix.option_names())
    usual = {"num_workers": 0, "pin_memory": False, "epochs": 5, "seeds": 5, "dataset": "MNIST", "device": ["cpu"]}
    return {**names, **usual, **chosen}


def run(
    images: Any, folder: Path, *cases: Case, effort: Effort = QUICK, shares: Mapping[str, Share] | None = None
) -> Session:
    """A run of these cases that has not begun."""
    return Session(images, folder, {case_id(case): case for case in cases}, effort, shares)


class Session:
    """A run with workers in this process."""

    def __init__(
        self, images: Any, folder: Path, planned: dict[str, Case], effort: Effort, shares: Mapping[str, Share] | None
    ) -> None:
        self.workers = Workers(images)
        with self.workers.start() as worker:
            asked = {id: dataclasses.asdict(case) for id, case in planned.items()}
            facts = worker.ask("survey", cases=asked, devices=["cpu"])
        resolved = {
            id: dataclasses.replace(case, threads=case.threads or facts["threads"]) for id, case in planned.items()
        }
        possible = {id: case for id, case in resolved.items() if not facts["impossible"][id]}
        found = {name: Share(1, {"steps": 3, "epochs": 2}.get(name, effort.seeds), 1.0) for name in groups(possible)}
        calibrations = 2 if effort.thorough else 1
        self.plan = Plan(effort, {**found, **(shares or {})}, calibrations, 1.0, 1.0, 1.0)
        surveyed = header.Surveyed(resolved, facts, self.plan)
        self.journal = Journal.create(folder, header.first_line(surveyed, "test", "MNIST"))

    def measure(self) -> Record:
        """All of it; the record."""
        session.Session(self.workers, self.journal, self.plan).measure()  # type: ignore[arg-type]
        self.journal.close()
        return folded(self.journal.lines)
