"""A worker in a fresh process: started by a command, asked over its standard input and output.

It has a process group of its own: the terminal's Ctrl-C reaches only the command, which ends what it started, with all
that this has started in turn.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.errors import reason_in
from bench.workers.conversation import LIMIT_SECONDS, Conversation, WorkerError

HARNESS = Path(__file__).parents[2]
WORKER = "bench.workers.serve"


def alone(folder: Path) -> Path:
    """The folder, with this harness in it and nothing of what it is installed beside.

    An interpreter that looked for the harness where pip has put it would find this one's torch there, too, and two
    versions of torch that are to be compared would be the same one.
    """
    for package in ("bench", "fcnn"):
        (folder / package).symlink_to(HARNESS / package)
    return folder


def child_environment(changes: dict[str, str], harness: Path | None = None) -> dict[str, str]:
    """This process's environment with `changes`, in which a child finds this very harness."""
    changed = {**os.environ, **changes}
    paths = [str(harness or HARNESS), *filter(None, [changed.get("PYTHONPATH")])]
    return {**changed, "PYTHONPATH": os.pathsep.join(paths)}


def empty_compiler_caches(folder: Path) -> dict[str, str]:
    """Variables with which torch's compilers find nothing that was compiled before, and keep what they make.

    Triton's is named as well, since torch names one for the rest of a process when it first compiles for a GPU.
    """
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "TRITON_CACHE_DIR": str(folder / "triton")}


def worker_words() -> list[str]:
    """The command that is a fresh worker, with this Python."""
    return [sys.executable, "-m", WORKER]


class Process:
    """A running program; a context, at whose end it and all that it started are killed.

    Args:
        words: The command, a fresh worker if none is given. Its folder is the harness's, so paths are absolute.
        environment: Variables beside those of this process.
        kept: File descriptors that it inherits.
        called: What it is called in messages.
        harness: Where it finds the harness; where this process does, if that is not said.
    """

    def __init__(
        self,
        words: Sequence[str] | None = None,
        environment: dict[str, str] | None = None,
        kept: Sequence[int] = (),
        called: str = "it",
        harness: Path | None = None,
    ) -> None:
        self._words, self._environment, self._kept = words or worker_words(), environment or {}, kept
        self._called, self._harness = called, harness or HARNESS

    def __enter__(self) -> Process:
        try:
            self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, cwd=self._harness,
                env=child_environment(self._environment, self._harness), encoding="utf-8", errors="replace",
                start_new_session=True, pass_fds=self._kept,
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(f"{self._words[0]} cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._conversation = Conversation(
            self._process.stdout,
            self._process.stdin,
            self._called,
            lambda: kill_group(self._process.pid),
            self.last_words,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        kill_group(self._process.pid)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(OSError):  # what was not yet sent to it
                if pipe is not None:
                    pipe.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, name: str, limit_seconds: float = LIMIT_SECONDS, /, **arguments: Any) -> Any:
        """`bench.workers.conversation.Conversation.ask`."""
        return self._conversation.ask(name, limit_seconds, **arguments)

    def begin(self, name: str, /, **arguments: Any) -> None:
        """`bench.workers.conversation.Conversation.begin`."""
        self._conversation.begin(name, **arguments)

    def end(self, limit_seconds: float = LIMIT_SECONDS) -> Any:
        """`bench.workers.conversation.Conversation.end`."""
        return self._conversation.end(limit_seconds)

    def wait_for_end(self, limit_seconds: float) -> str:
        """Sends nothing more and waits so long at most for it to end by itself; what it said at its end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            return "its process did not end"
        return self.last_words()

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


def ask_once(
    name: str, limit_seconds: float, called: str, environment: dict[str, str] | None = None, /, **arguments: Any
) -> Any:
    """What a fresh worker answers to one request; raises WorkerError."""
    with Process(None, environment, called=called) as process:
        return process.ask(name, limit_seconds, **arguments)


def is_python(command: str) -> bool:
    """Whether a command is an interpreter, of whatever version: it is asked for an answer as one of them gives it."""
    try:
        with Process([command, "-c", """print('{"value": 3}')"""]) as process:
            return bool(process.end() == 3)
    except WorkerError:
        return False
