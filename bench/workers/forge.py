"""Workers that are forked from a process which has imported torch, has the images and has started no threads.

A forked worker is there in a hundredth of a second where a fresh one takes two, the images are in memory once for all
of them, and both sides of a comparison have the same memory layout. The forge, `python -m bench.workers.forge`, is told
by a line on a socket what to hold; then one message a worker, with the socket on which that is to serve, and it answers
with the process id. No socket has a name, so no temporary folder's path can be too long for one.

Not Python's own `multiprocessing` with its forkserver: the environment of that is fixed for a whole process, where one
comparison wants waiting threads and another the user's; its children import the command's main module and unpickle what
they are sent, which ties them to this Python and this torch; and none of its answers has a time limit.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.errors import reason_of
from bench.workers.conversation import Conversation, WorkerDied, WorkerError, no_answer, parsed, value_of
from bench.workers.process import Process, killed_by
from bench.workers.serve import State, end_with, serve

START_SECONDS = 120.0  # for a worker to appear: torch is imported first
END_SECONDS = 5.0  # for the forge to end by itself
LAST_SECONDS = 5.0  # for a worker to end: a killed one gives back its memory first, a device's as well
GRACE_SECONDS = 0.2  # for a worker that died to be seen as dead
MESSAGE_BYTES = 1 << 16
FORGE = "bench.workers.forge"
PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}


def main() -> None:
    """Holds what it is told to and forks until the other end of the socket is closed."""
    import torch
    import torch._dynamo

    from bench.workers.images import held

    # The optimizers import the compiler when they are first used; here it is imported once for all workers.
    torch.set_num_threads(1)
    end_with(os.getppid())
    with socket.socket(fileno=int(sys.argv[1])) as control:
        try:
            images = held(**json.loads(control.recv(MESSAGE_BYTES)))
        except Exception as error:
            control.sendall(json.dumps({"error": reason_of(error)}).encode())
            return
        control.sendall(b'{"value": null}')
        gc.freeze()  # a collection in a worker would write to, and so copy, every page that torch's objects are on
        workers: dict[int, int | None] = {}  # how each has ended, by its number; None while it is there
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 1)
            _reap(workers)
            if not message:
                break
            number, pid = json.loads(message)
            if pid:
                value = _ended(workers, pid)
            else:
                here = os.getpid()
                value = os.fork()
                if value == 0:
                    end_with(here)
                    control.close()
                    _work(images, descriptors[0])
                workers[value] = None
                os.close(descriptors[0])
            control.sendall(json.dumps({"value": [number, value]}).encode())
    for pid, code in workers.items():  # of a command that was killed; else they have ended, or are about to
        if code is None:
            kill(pid)
            os.waitpid(pid, 0)


def _reap(workers: dict[int, int | None]) -> None:
    """Takes leave of workers that have ended: what they computed is then known to be this command's work."""
    for pid, code in workers.items():
        if code is None and (status := os.waitpid(pid, os.WNOHANG))[0]:
            workers[pid] = os.waitstatus_to_exitcode(status[1])


def _ended(workers: dict[int, int | None], pid: int) -> int | None:
    """Kills a worker if it does not end by itself at once, and waits for its end; its exit code, None if it stays."""
    deadline = time.monotonic() + LAST_SECONDS
    while workers[pid] is None and time.monotonic() < deadline - LAST_SECONDS + GRACE_SECONDS:
        time.sleep(0.005)
        _reap(workers)
    if workers[pid] is None:
        kill(pid)
    while workers[pid] is None and time.monotonic() < deadline:
        time.sleep(0.01)
        _reap(workers)
    return workers[pid]


def kill(pid: int) -> None:
    """Ends a worker and what it started."""
    for end in (os.killpg, os.kill):  # it leads a group, unless it was too young for that
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def _work(images: Any, descriptor: int) -> None:
    code = 1
    try:
        os.setsid()  # what it starts itself is ended with it
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        with (
            socket.socket(fileno=descriptor) as connection,
            connection.makefile("r", encoding="utf-8") as source,
            connection.makefile("w", encoding="utf-8") as to,
        ):
            serve(State(images), source, to)
        code = 0
    finally:
        os._exit(code)


class Worker(Conversation):
    """A forked worker, from the outside."""

    def __init__(self, pid: int, connection: socket.socket, called: str, why_ended: Callable[[], str]) -> None:
        self.pid = pid
        super().__init__(
            connection.makefile("r", encoding="utf-8", errors="replace"),
            connection.makefile("w", encoding="utf-8"),
            called,
            self.kill,
            lambda: f"{self.who} died while {self.doing}: {why_ended()}",
        )

    def stop(self) -> None:
        """Keeps an idle worker's threads from spinning on the core that the other needs."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends `stop`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends it and what it started."""
        kill(self.pid)


class Forge:
    """Makes workers; a context.

    Args:
        images: What `bench.workers.images.held` takes.
        passive: Threads wait without spinning, should a library start any: the other side has the core. Not where a
            worker is to be like the process of a user.
        python: The interpreter, which need have nothing but torch.
        environment: Variables beside those of this process.
        harness: As of `bench.workers.process.Process`.
    """

    def __init__(
        self,
        images: Mapping[str, str | None],
        *,
        passive: bool,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        harness: Path | None = None,
    ) -> None:
        self._held, self._python, self._harness = images, python, harness
        self._environment = {**(PASSIVE if passive else {}), **(environment or {})}

    def __enter__(self) -> Forge:
        # Whole messages: one that was sent by a command that was then interrupted is not joined with the next.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(START_SECONDS)
        with theirs:
            words = [self._python, "-m", FORGE, str(theirs.fileno())]
            self._process = Process(words, self._environment, kept=[theirs.fileno()], harness=self._harness)
            self._process.__enter__()
        with contextlib.suppress(OSError):  # it has ended already; the answer says why
            self._control.sendall(json.dumps(self._held).encode())
        self._ready, self._number = False, 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._control.close()
        if self._ready:  # else it has none, and is still busy with its imports
            self._process.wait_for_end(END_SECONDS)  # it takes leave of its workers
        self._process.__exit__(kind, error, traceback)

    def wait(self) -> None:
        """Waits until it has the images; raises WorkerError with the reason why it has none."""
        if not self._ready:
            self._answer()
            self._ready = True

    @contextlib.contextmanager
    def worker(self, called: str = "the worker") -> Iterator[Worker]:
        """A fresh worker, which is killed and gone at the end.

        Raises:
            WorkerError: It did not start.
        """
        self.wait()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = self._tell(0, theirs.fileno())
            if not pid:
                raise WorkerError("the process that forks the workers has made none")
            worker = Worker(pid, ours, called, lambda: self._why_ended(pid))
            try:
                yield worker
            finally:
                worker.kill()
                with contextlib.suppress(WorkerError):
                    self._tell(pid)

    def _why_ended(self, pid: int) -> str:
        try:
            code = self._tell(pid)
        except WorkerError as error:
            return str(error)
        if code is None:
            return "it cannot be ended"
        return killed_by(-code) if code < 0 else f"it ended with exit code {code}"

    def _tell(self, pid: int, *descriptors: int) -> int | None:
        """Asks for a worker, that serves at the descriptor, or for the end of one: its number, or its exit code.

        What is left of an answer that nobody waited for, as after an interruption, has another number.
        """
        self._number += 1
        with contextlib.suppress(OSError):  # the answer says why
            socket.send_fds(self._control, [json.dumps([self._number, pid]).encode()], list(descriptors))
        while True:
            number, value = self._answer()
            if number == self._number:
                return value  # type: ignore[no-any-return]

    def _answer(self) -> Any:
        try:
            message = self._control.recv(MESSAGE_BYTES)
        except TimeoutError:
            raise no_answer("the process that forks the workers", START_SECONDS) from None
        except OSError:
            message = b""
        if not message:
            raise WorkerDied(self._died())
        answer = parsed(message.decode("utf-8", "replace"))
        assert answer is not None
        return value_of(answer)

    def _died(self) -> str:
        return f"the process that forks the workers died: {self._process.last_words()}"


if __name__ == "__main__":
    main()
