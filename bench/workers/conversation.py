"""The one protocol: a line `[name, arguments]` in, a line `{"value": ...}` or `{"error": ...}` out, each with a limit.

What a worker can be asked stands in `bench.workers.requests`. A worker is a process of its own, so that a crash, a hang
or an exhausted memory costs what it was asked for and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from bench import interruption
from bench.errors import BenchError
from bench.workers.requests import DOING

WAKE_SECONDS = 0.2
LIMIT_SECONDS = 60.0  # for an answer, if none is stated; warming a case up or counting it takes seconds
# Where a compiler is at work, max-autotune on a busy machine, or a program of the user's own that loads its data first.
LONG_LIMIT_SECONDS = 600.0


class WorkerError(BenchError):
    """A worker that failed, died, or gave no answer in time. The message is its reason."""


class WorkerDied(WorkerError):
    """A worker that is there no more: it ended, or it was ended for lack of an answer."""


class NoAnswer(WorkerDied):
    """A worker that was ended because it did not answer in time."""


class Conversation:
    """One side of the protocol: the side that asks.

    Args:
        answers: Where the answers come from, a line each. Other lines are what libraries print.
        requests: Where the requests go.
        called: What the worker is called in messages.
        kill: Ends the worker, which did not answer in time.
        last_words: Why the worker ended, which it has.
    """

    def __init__(
        self,
        answers: IO[str],
        requests: IO[str],
        called: str,
        kill: Callable[[], object],
        last_words: Callable[[], str],
    ) -> None:
        self.called, self._requests, self._kill, self._last_words = called, requests, kill, last_words
        self._asked, self._program = "answer", ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(answers,), daemon=True).start()

    def _read(self, answers: IO[str]) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed while it was read
            for line in answers:
                self._lines.put(line)
        self._lines.put(None)

    def ask(self, name: str, limit_seconds: float = LIMIT_SECONDS, /, **arguments: Any) -> Any:
        """The worker's answer to one request.

        Args:
            name: A row of `bench.workers.requests.REQUESTS`.
            limit_seconds: Most seconds to wait.
            arguments: The request's own, as JSON can hold them.

        Raises:
            WorkerError: The request failed, for the reason in the message; the worker goes on.
            WorkerDied: The worker has ended.
            NoAnswer: There was no answer within the limit, and the worker was killed.
        """
        self.begin(name, **arguments)
        return self.end(limit_seconds)

    def begin(self, name: str, /, **arguments: Any) -> None:
        """Sends a request without waiting."""
        self._asked = name
        if name == "own":
            self._program = arguments["file"]
        with contextlib.suppress(OSError, ValueError):  # `end` says why
            self._requests.write(json.dumps([name, arguments]) + "\n")
            self._requests.flush()

    def end(self, limit_seconds: float = LIMIT_SECONDS) -> Any:
        """Waits for the answer to `begin`; raises as `ask` does."""
        deadline = time.monotonic() + limit_seconds
        while True:
            left = deadline - time.monotonic()
            try:
                # In slices: where a signal has come to the reading thread, this one sees it only when it wakes up.
                line = self._lines.get(timeout=min(max(left, 0.0), WAKE_SECONDS))
            except queue.Empty:
                interruption.check()
                if left > WAKE_SECONDS:
                    continue
                self._kill()
                raise no_answer(f"{self.who}, while {self.doing},", limit_seconds) from None
            if line is None:
                self._lines.put(None)  # it stays so
                raise WorkerDied(self._last_words())
            if answer := parsed(line):
                return value_of(answer)

    @property
    def who(self) -> str:
        """Whose end it would be: what the worker is called, or `train.py: its process` while it runs such a program."""
        return f"{self._program}: its process" if self._program and self._asked in DOING else self.called

    @property
    def doing(self) -> str:
        """What it was last asked: `it was timed`."""
        return DOING.get(self._asked, f"it was asked to {self._asked}")


def no_answer(what: str, limit_seconds: float) -> NoAnswer:
    """The error of a process that was killed because it did not answer in time; `what` is what was waited for."""
    return NoAnswer(f"{what} gave no answer within {limit_seconds:.0f} s, and its process was ended")


def parsed(line: str) -> dict[str, Any] | None:
    """The answer on a line; None if it is no answer."""
    with contextlib.suppress(ValueError):
        answer = json.loads(line)
        if isinstance(answer, dict) and ("value" in answer or "error" in answer):
            return answer
    return None


def value_of(answer: dict[str, Any]) -> Any:
    """What the answer holds; raises WorkerError if that is an error."""
    if "error" in answer:
        raise WorkerError(answer["error"])
    return answer["value"]
