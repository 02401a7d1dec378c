"""How a run gets its workers: forked from one that has the images, or each afresh where processes cannot be forked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from bench.errors import USAGE, BenchError
from bench.workers.conversation import WorkerDied, WorkerError
from bench.workers.forge import Forge
from bench.workers.process import Process, ask_once

FORKS = sys.platform == "linux"  # elsewhere the system's own libraries, which torch computes with, do not survive it
HOLD_SECONDS = 600.0  # for the images to be there; they may have to be downloaded


class Workers:
    """Makes the workers of a run; a context.

    Args:
        dataset: As `bench.workers.images.held` takes it.
        data: The same.
        program: Of the user's own, as the request `own` takes it; in place of images.
    """

    def __init__(self, dataset: str, data: str | None, program: Mapping[str, str] | None = None) -> None:
        self._images = {} if program else {"dataset": dataset, "data": data}
        self._program = program
        self._forge: Forge | None = None

    def __enter__(self) -> Workers:
        if FORKS:
            self._forge = Forge(self._images, passive=False).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._forge:
            self._forge.__exit__(kind, error, traceback)

    def wait(self) -> None:
        """Waits until the images are there; raises BenchError for the user's part in it if they cannot be had."""
        if self._forge is None:
            return
        try:
            self._forge.wait()
        except WorkerDied:
            raise
        except WorkerError as error:
            raise BenchError(str(error), USAGE) from error

    @contextlib.contextmanager
    def start(self, called: str = "the worker") -> Iterator[Any]:
        """A fresh worker with the images, killed at the end; raises WorkerError."""
        with contextlib.ExitStack() as stack:
            if self._forge is None:
                worker: Any = stack.enter_context(Process(called=called))
                worker.ask("hold", HOLD_SECONDS, **self._images)
            else:
                worker = stack.enter_context(self._forked(called))
            if self._program:
                worker.ask("own", **self._program)
            yield worker

    def afresh(
        self, name: str, limit_seconds: float, called: str, environment: dict[str, str] | None = None, /, **more: Any
    ) -> Any:
        """What a process that has just been started answers to one request about the images; raises WorkerError."""
        return ask_once(name, limit_seconds, called, environment, **{**self._images, **more})

    @contextlib.contextmanager
    def _forked(self, called: str) -> Iterator[Any]:
        assert self._forge is not None
        with contextlib.ExitStack() as stack:
            try:
                worker = stack.enter_context(self._forge.worker(called))
            except WorkerDied:  # what it forks from has died, as for lack of memory: once more from the beginning
                self._forge.__exit__(None, None, None)
                self._forge = Forge(self._images, passive=False).__enter__()
                worker = stack.enter_context(self._forge.worker(called))
            yield worker
