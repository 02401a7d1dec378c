"""A process that is asked: JSON lines in, `{"value": ...}` or `{"error": ...}` lines out, each within a time limit.

It has a process group of its own: the terminal's Ctrl-C reaches only the command, which ends what it started, with all
that this has started in turn. Children import this before they know whose `fcnn` they look at, so it imports none.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import interruption
from bench.errors import BenchError, reason_in, reason_of

WAKE_SECONDS = 0.2
HARNESS = Path(__file__).parents[2]


class WorkerError(BenchError):
    """A process that failed, died, or gave no answer in time. The message is its reason."""


class NoAnswer(WorkerError):
    """A process that was ended because it did not answer in time."""


def child_environment(changes: dict[str, str]) -> dict[str, str]:
    """This process's environment with `changes`, in which a child finds this very harness."""
    paths = [str(HARNESS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **changes}


def module_words(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this harness with this Python."""
    return [sys.executable, "-m", module, *arguments]


class Process:
    """A running program that is asked; a context, at whose end it and all that it started are killed.

    Args:
        words: The command. Its folder is the harness's, so that paths in requests are absolute.
        environment: Variables beside those of this process.
        kept: File descriptors that it inherits.
    """

    def __init__(
        self, words: Sequence[str], environment: dict[str, str] | None = None, kept: Sequence[int] = ()
    ) -> None:
        self._words, self._environment, self._kept = words, environment or {}, kept

    def __enter__(self) -> Process:
        try:
            self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, cwd=HARNESS,
                env=child_environment(self._environment), encoding="utf-8", errors="replace", start_new_session=True,
                pass_fds=self._kept,
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(f"{self._words[0]} cannot be started: {error}") from error
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed while it was read
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        kill_group(self._process.pid)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(OSError):  # what was not yet sent to it
                if pipe is not None:
                    pipe.close()

    def send(self, request: Any) -> None:
        """Sends a request without waiting."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `receive` says why
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def receive(self, limit_seconds: float, what: str) -> Any:
        """The next answer; other lines are what libraries print.

        Args:
            limit_seconds: Most seconds to wait.
            what: What is waited for, for the message.

        Raises:
            WorkerError: The answer is an error, the process has ended, or there is no answer within the limit.
        """
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
                kill_group(self._process.pid)
                raise no_answer(what, limit_seconds) from None
            if line is None:
                raise WorkerError(self.last_words())
            if answer := parsed(line):
                return value_of(answer)

    def ask(self, request: Any, limit_seconds: float, what: str) -> Any:
        """`send` and `receive`."""
        self.send(request)
        return self.receive(limit_seconds, what)

    def wait_for_end(self, limit_seconds: float) -> None:
        """Waits so long at most for it to end by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_seconds)

    def last_words(self) -> str:
        """Why it ended, which it has."""
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "it closed its output and went on"
        self._said.seek(0)
        if code < 0:
            return killed_by(-code)  # whatever it said before, that is no reason
        return reason_in(self._said.read()) or f"it ended with exit code {code} and said nothing"


def no_answer(what: str, limit_seconds: float) -> NoAnswer:
    """The error of a process that was killed because it did not answer in time; `what` is what was waited for."""
    return NoAnswer(f"{what} gave no answer within {limit_seconds:.0f} s, and its process was ended")


def killed_by(number: int) -> str:
    """`it was killed by SIGKILL`, with the likely cause."""
    with contextlib.suppress(ValueError):
        name = signal.Signals(number).name
        return f"it was killed by {name}" + (", as for lack of memory" if name == "SIGKILL" else "")
    return f"it was killed by signal {number}"


def kill_group(pid: int) -> None:
    """Ends the process that leads a group, and the group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)


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


def ask_module(module: str, request: Any, limit_seconds: float, what: str, **environment: str) -> Any:
    """What a fresh process of `module` answers to one request; raises WorkerError."""
    with Process(module_words(module), environment) as process:
        return process.ask(request, limit_seconds, what)


def answers(handle: Callable[[Any], Any], requests: Iterator[str]) -> Iterator[str]:
    """A child's side: a line of answer to every line of request, an exception as its reason."""
    for line in requests:
        try:
            yield json.dumps({"value": handle(json.loads(line))})
        except Exception as error:
            yield json.dumps({"error": reason_of(error)})


def answer_requests(handle: Callable[[Any], Any]) -> None:
    """Answers on standard output what comes on standard input, until that ends."""
    for line in answers(handle, iter(sys.stdin)):
        print(line, flush=True)
