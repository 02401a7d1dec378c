"""A run of a program of the user's own: which file it is, and what planning has to know of it.

Imports no torch: the program itself is imported by workers alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.axes.case import Case
from bench.axes.matrix import program_file
from bench.errors import BenchError
from bench.measure import git
from bench.workers.conversation import LONG_LIMIT_SECONDS, WorkerError
from bench.workers.start import Workers


@dataclass(frozen=True)
class Facts:
    """What `bench.workers.own.facts` answers of a case."""

    made_seconds: float = 0.0
    repetition_seconds: float = 1.0
    images_per_step: int | None = None
    lacks: tuple[str, ...] = ()


def request(path: Path, folder: str | None = None) -> dict[str, str]:
    """The arguments that tell a worker which program it runs.

    Args:
        path: Its file.
        folder: Where its relative paths begin; None for the current folder.

    Raises:
        BenchError: There is no such file, or it is no Python.
    """
    real = program_file(path)
    try:
        tree = git.top(real.parent).resolve()
    except BenchError:  # it lies in no repository, or there is no git
        tree = real.parent
    return {"tree": str(tree), "file": real.relative_to(tree).as_posix(), "folder": folder or os.getcwd()}  # noqa: PTH109


def asked(path: Path) -> dict[str, str]:
    """What a run has to know to go on, from whatever folder."""
    return {"program": str(path.absolute()), "folder": os.getcwd()}  # noqa: PTH109


def again(path: Path, then: Mapping[str, Any]) -> dict[str, Any]:
    """The same of now, for a run that is to go on: its results have changed the repository meanwhile."""
    now = recorded(path, {})
    if now["commit"] and then["commit"]:
        now["commit"] = {**now["commit"], "dirty": then["commit"]["dirty"]}
    return {**now, "file": then["file"], "lacks": then["lacks"]}


def surveyed(workers: Workers, cases: Mapping[str, Case]) -> dict[str, Facts]:
    """What is known of every case before it is planned; of one that fails, as of the quickest: its turn says why.

    Raises:
        BenchError: All of them fail; the first one's reason.
    """
    known, errors = dict[str, Facts](), list[WorkerError]()
    for id, case in cases.items():
        try:
            with workers.start("the survey") as worker:
                known[id] = Facts(**worker.ask("own_facts", LONG_LIMIT_SECONDS, case=dataclasses.asdict(case)))
        except WorkerError as error:
            errors.append(error)
    if errors and not known:
        raise BenchError(str(errors[0]), errors[0].exit_code)
    quickest = min(known.values(), key=lambda facts: facts.repetition_seconds, default=Facts())
    unknown = dataclasses.replace(quickest, images_per_step=None)
    return {id: known.get(id, unknown) for id in cases}


def dataset(path: Path) -> dict[str, Any]:
    """What a record has in the place of its images, as `bench.record.model.Dataset` says."""
    digest = hashlib.sha256(path.name.encode()).hexdigest()
    return {"name": path.name, "label": f"{path.name} and its own images", "sha256": digest,
            "train_images": 0, "test_images": 0, "fallback_reason": None}  # fmt: skip


def recorded(path: Path, known: Mapping[str, Facts]) -> dict[str, Any]:
    """The fields of `bench.record.model.Program`."""
    commit = git.commit_of(path.resolve(), ":/")
    return {
        "file": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "commit": commit and dataclasses.asdict(commit),
        "lacks": next((list(facts.lacks) for facts in known.values()), []),
    }
