"""Commands in processes of their own, forked from one that has imported what they need.

A fresh process takes seconds to import torch and what stands on it. The one that is forked from has run nothing else,
so nothing of the tests is in its children. Where no process can be forked, fresh ones are started.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 300.0  # of what has hung, and never of what is slow
IMPORTED = ["bench.cli", "bench.suite.run", "bench.report.write", "bench.profile.verb", "bench.ladder.verb",
            "pydantic", "torch._dynamo", "torchvision.datasets", "pytest"]  # fmt: skip
_context = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
if hasattr(_context, "set_forkserver_preload"):
    _context.set_forkserver_preload(IMPORTED)
# On the embedded images, and writes into the file `said` what is under way.
COMMAND = """
import contextlib, pathlib, sys
from bench import console
from bench.ladder import verb as ladder
from bench.profile import verb as profile
from fcnn.data import embedded_images

@contextlib.contextmanager
def working(terminal):
    with pathlib.Path("said").open("a", buffering=1) as said:
        yield lambda what: print(what, file=said)

class Bar(console.Bar):
    def show(self, what, left, done_seconds):
        with pathlib.Path("said").open("a") as said:
            print(what, file=said)

console.working, console.Bar = working, Bar
ladder.images = profile.images = lambda dataset, data: embedded_images("asked for")
"""
# And where every fresh worker is `tests.answers`.
ANSWERED = """
from bench.workers import process
process.WORKER = "tests.answers"
"""
MAIN = """
import sys
from bench.cli import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Command:
    """Python code that runs in a process of its own.

    Args:
        code: What runs, as the main module.
        words: Its arguments.
        folder: Where it runs; `tmp` in it becomes its temporary folder.
        environment: Variables in place of or besides this process's.
        without: Variables that it does not get.
        out: Where its standard output goes, such as a device; else into a file.
    """

    def __init__(
        self,
        code: str,
        *words: object,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        out: str | None = None,
    ) -> None:
        self.folder, self._streams = folder, Path(tempfile.mkdtemp(dir=folder.parent, prefix="streams-"))
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        self._out, self._err = out or str(self._streams / "out"), str(self._streams / "err")
        variables = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
        variables = {name: value for name, value in variables.items() if name not in without} | dict(environment or {})
        given = (code, [str(word) for word in words], str(folder), variables)
        self._process: BaseProcess = _context.Process(target=_run, args=(*given, self._out, self._err))
        with _unmeasured():
            self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Returns when that has happened, or the process has ended."""
        while self._process.is_alive() and not happened():
            time.sleep(0.02)

    def wait_until_said(self, what: str) -> None:
        """Returns when `what` is under way, by a `COMMAND`'s own word, or the process has ended."""
        said = self.folder / "said"
        self.wait_for(lambda: said.exists() and f"{what}\n" in said.read_text("utf-8"))

    def wait_until_printed(self, text: str) -> None:
        """Returns when it has printed `text`, or has ended."""
        out = Path(self._out)
        self.wait_for(lambda: out.exists() and text in out.read_text("utf-8"))

    def send(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Waits for its end."""
        self._process.join(LIMIT_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            raise AssertionError(f"it did not end within {LIMIT_SECONDS:.0f} s")
        out = Path(self._out).read_text("utf-8", "surrogateescape") if self._out.startswith(str(self._streams)) else ""
        return Ended(self._process.exitcode, out, Path(self._err).read_text("utf-8", "surrogateescape"))

    def temporary_files(self) -> list[Path]:
        """What it has left of them, torch's cache for later runs apart."""
        return [path for path in (self.folder / "tmp").iterdir() if not path.name.startswith("torchinductor_")]


@contextlib.contextmanager
def _unmeasured() -> Iterator[None]:
    """What is started inside does not trace itself for coverage.py, as children of a measured process do.

    Its tracer holds a lock for a moment, and where a signal comes just then, it waits for itself for ever. What it
    finds would be lost anyway: a forked command ends without Python's own end, at which that is saved.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            patch.delenv(name, raising=False)
        yield


def _run(code: str, words: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    # New ones: those that are there know what they wrote to before.
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = ["command", *words]
    exec(compile(code, "<command>", "exec"), {"__name__": "__main__"})
