"""The two sides of a comparison: a program each, and the process that its workers are forked from.

Both sides' workers come from one process, unless one side has another interpreter or another environment. How memory
was laid out when torch was imported then differs between the sides for as long as these processes live, which a pair
cannot show: so there are a few of them a side, and pairs take them by turns. What they cannot show either is where the
system keeps the pages of a side's libraries: two installations of one torch differed by 1% until these were read anew.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.errors import USAGE, BenchError
from bench.gate.trees import Trees
from bench.measure.page_faults import KEEP_MEMORY
from bench.record import files
from bench.workers.conversation import Conversation, WorkerError
from bench.workers.forge import Forge
from bench.workers.process import alone, is_python

FORGES = 3  # a side, where sides have an environment each


@dataclass(frozen=True)
class Environment:
    """What a side runs in.

    Attributes:
        python: The interpreter.
        variables: Environment variables that are set for it beside those of this process.
    """

    python: str = sys.executable
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """`/venv/bin/python with MKL_NUM_THREADS=1`."""
        variables = ", ".join(f"{name}={value}" for name, value in self.variables.items())
        return " with ".join(filter(None, [self.python, variables]))


class WorkerMaker(Protocol):
    """What makes workers: a `bench.workers.forge.Forge`, or what stands for one."""

    def worker(self, called: str = "the worker") -> contextlib.AbstractContextManager[Conversation]:
        """A fresh worker."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        forge: Makes its workers.
        tree: The folder with its `fcnn`, or with the repository of a program of the user's own.
        called: What its workers are called in messages.
        file: That program's path in `tree`.
    """

    forge: WorkerMaker
    tree: Path
    called: str = "the worker"
    file: str = ""

    @contextlib.contextmanager
    def worker(self) -> Iterator[Any]:
        """A fresh worker with the side's program; raises bench.workers.conversation.WorkerError."""
        with self.forge.worker(self.called) as worker:
            if self.file:
                worker.ask("own", tree=str(self.tree), file=self.file, folder=os.getcwd())  # noqa: PTH109
            else:
                worker.ask("program", tree=str(self.tree))
            yield worker


@dataclass(frozen=True)
class Sides:
    """What is compared.

    Attributes:
        apart: Whether they have an environment each.
    """

    reference: Side
    candidate: Side
    apart: bool = False

    @classmethod
    def of(cls, programs: Trees, candidate: WorkerMaker, reference: WorkerMaker | None = None) -> Sides:
        """Two programs with what makes their workers; one for both if there is only one."""
        return cls(
            Side(reference or candidate, programs.reference, "the reference", programs.file),
            Side(candidate, programs.candidate, "the candidate", programs.file),
            apart=reference is not None,
        )

    @property
    def same(self) -> bool:
        """Whether it is one program in one environment, whatever its lines end in."""

        def contents(tree: Path) -> dict[Path, bytes]:
            paths = (path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            return {path.relative_to(tree): path.read_bytes().replace(b"\r\n", b"\n") for path in paths}

        return not self.apart and contents(self.candidate.tree) == contents(self.reference.tree)


class InTurn:
    """Makes workers from one process after the other."""

    def __init__(self, forges: Sequence[Forge]) -> None:
        self._next = itertools.cycle(forges)

    def worker(self, called: str = "the worker") -> contextlib.AbstractContextManager[Conversation]:
        """A fresh worker."""
        return next(self._next).worker(called)


@contextlib.contextmanager
def sides(
    programs: Trees, images: Path | None, environment: Environment | None, *, timed: bool = True
) -> Iterator[Sides]:
    """The sides of a comparison.

    Args:
        programs: What the workers of each run.
        images: A file that they read; None for a program of the user's own.
        environment: The reference's own; None for one process from which both sides' workers come.
        timed: Whether anything is timed, for which one process a side is not enough.

    Raises:
        BenchError: The environment cannot run the program.
    """
    held = {"file": str(images)} if images else {}
    # Whether a process gives memory back is chance, of which a convolutional program's pairs scattered by 10 to 14%.
    keeps = {name: os.environ.get(name, value) for name, value in KEEP_MEMORY.items()}
    with contextlib.ExitStack() as stack:
        if environment is None:
            yield Sides.of(programs, stack.enter_context(Forge(held, passive=True, environment=keeps)))
            return

        harness = alone(stack.enter_context(files.scratch()))

        def several(**of: Any) -> list[Forge]:
            count = FORGES if timed else 1
            made = [Forge(held, passive=False, harness=harness, **of) for _ in range(count)]
            return [stack.enter_context(forge) for forge in made]

        # Threads wait here as they do for a user: how they do may be what is compared.
        apart = {"PYTHONPATH": ""} if environment.python != sys.executable else {}  # what that names is for this one
        theirs = {**keeps, **apart, **environment.variables}
        here, there = several(environment=keeps), several(python=environment.python, environment=theirs)
        for forge in there:
            try:
                forge.wait()
            except WorkerError as error:
                raise BenchError(why_not(environment, str(error)), USAGE) from error
        yield Sides.of(programs, InTurn(here), InTurn(there))


def why_not(environment: Environment, reason: str) -> str:
    """Why an environment cannot run the program, whose process died for a reason, and what it takes."""
    python = environment.python
    if not is_python(python):
        return f"argument --against-python: {python} is no Python: name an interpreter, such as ENVIRONMENT/bin/python"
    if lacks := re.search("No module named '(torch|numpy)'", reason):
        reason = f"{lacks[0]}; it needs torch and numpy: {shlex.quote(python)} -m pip install torch numpy"
    return f"{environment.words}: cannot run the program: {reason}"


def environment_of(python: str | None, variables: Sequence[str]) -> Environment | None:
    """The reference's own environment, as the options name it; None if they do not.

    Raises:
        BenchError: There is no such interpreter, or something is no `NAME=VALUE`.
    """
    if python is None and not variables:
        return None
    values = {}
    for text in variables:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise BenchError(f"argument --against-env: {text!r} is not NAME=VALUE", USAGE)
        values[name] = value
    named = sys.executable if python is None else os.path.expanduser(python)  # noqa: PTH111
    interpreter = shutil.which(named)
    if interpreter is None:
        inside = shutil.which(Path(named, "bin", "python")) if named else None
        remedy = f": it is a folder, name the interpreter in there: {inside}" if inside else ""
        raise BenchError(f"argument --against-python: {python!r} is no program that can be started{remedy}", USAGE)
    # Not resolved: through its link, an interpreter finds its own environment.
    return Environment(os.path.abspath(interpreter), values)  # noqa: PTH100


def different(of: Sides, environment: Environment | None = None) -> list[tuple[str, str, str]]:
    """What differs between the sides' environments: its name, the reference's and the candidate's.

    Args:
        of: The sides, whose workers are asked.
        environment: The reference's own, whose variables are all looked at, whatever they are about.
    """
    named = environment.variables if environment else {}
    here = {name: os.environ[name] for name in named if name in os.environ}
    reference, candidate = (
        {**known, **_versions(side)} for known, side in ((named, of.reference), (here, of.candidate))
    )
    return [
        (name, reference.get(name, "none") or "empty", candidate.get(name, "none") or "empty")
        for name in dict.fromkeys([*candidate, *reference])
        if reference.get(name) != candidate.get(name)
    ]


def _versions(side: Side) -> dict[str, str]:
    with side.forge.worker(side.called) as worker:
        return worker.ask("versions")  # type: ignore[no-any-return]
