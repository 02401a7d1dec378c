"""A process that has imported torch and started no threads, from which every worker is forked.

`python -m bench.gate.fork IMAGES DESCRIPTOR`: receives over the socket of that number, one message per worker, the
folder of its `fcnn` and the socket on which it is to serve; forks, and answers with the process id. No socket has a
name, so no temporary folder's path can be too long for one.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.errors import reason_of
from bench.workers.process import Process, WorkerError, module_words, no_answer, parsed, value_of

START_SECONDS = 120.0  # for a worker to appear: torch is imported first
LIMIT_SECONDS = 60.0  # for an answer, if none is stated; warming a case up or counting it takes seconds
END_SECONDS = 5.0  # for the process to end by itself
TREE_BYTES = 1 << 16  # most for the name of a folder


def main() -> None:
    """Forks until the other end of the socket is closed."""
    import torch
    import torch._dynamo

    # The optimizers import the compiler when they are first used; here it is imported once for all workers.
    torch.set_num_threads(1)
    images = torch.load(sys.argv[1])
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that torch's objects are on
    workers: set[int] = set()
    with socket.socket(fileno=int(sys.argv[2])) as control:
        while True:
            tree, descriptors, _, _ = socket.recv_fds(control, TREE_BYTES, 1)
            _reap(workers)
            if not tree:
                break
            pid = os.fork()
            if pid == 0:
                control.close()
                _work(os.fsdecode(tree), images, descriptors[0])
            workers.add(pid)
            os.close(descriptors[0])
            control.sendall(array.array("q", [pid]).tobytes())
    for pid in workers:  # of a command that was killed; else they have ended, or are about to
        kill(pid)
    _reap(workers, wait=True)


def _reap(workers: set[int], *, wait: bool = False) -> None:
    """Takes leave of workers that have ended: what they computed is then known to be this command's work."""
    for pid in list(workers):
        if os.waitpid(pid, 0 if wait else os.WNOHANG)[0]:
            workers.remove(pid)


def kill(pid: int) -> None:
    """Ends a worker and what it started."""
    for end in (os.killpg, os.kill):  # it leads a group, unless it was too young for that
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def _work(tree: str, images: Any, descriptor: int) -> None:
    code = 1
    try:
        os.setsid()  # what it starts itself is ended with it
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        from bench.gate.worker import serve

        with (
            socket.socket(fileno=descriptor) as connection,
            connection.makefile("r", encoding="utf-8") as source,
            connection.makefile("w", encoding="utf-8") as to,
        ):
            try:
                serve(tree, images, source, to)
            except Exception as error:  # before it could answer: the first request's answer is this
                to.write(json.dumps({"error": reason_of(error)}) + "\n")
        code = 0
    finally:
        os._exit(code)


class Worker:
    """A forked worker, from the outside.

    Attributes:
        side: What it is called in messages.
    """

    def __init__(self, pid: int, connection: socket.socket, side: str = "the worker") -> None:
        self.pid, self.side, self._connection, self._received = pid, side, connection, b""
        self._name = ""

    def ask(self, name: str, limit_seconds: float | None = None, **arguments: Any) -> Any:
        """The worker's answer; raises WorkerError."""
        self.begin(name, **arguments)
        return self.end(limit_seconds)

    def begin(self, name: str, **arguments: Any) -> None:
        """Sends a request without waiting."""
        self._name = name
        with contextlib.suppress(OSError):  # `end` says why
            self._connection.sendall(json.dumps([name, arguments]).encode() + b"\n")

    def end(self, limit_seconds: float | None = None) -> Any:
        """Waits for the answer to `begin`, `LIMIT_SECONDS` if no limit is given.

        Raises:
            WorkerError: It failed or died.
            NoAnswer: It did not answer within the limit, and was killed.
        """
        limit_seconds = limit_seconds or LIMIT_SECONDS
        self._connection.settimeout(limit_seconds)
        while True:
            line, end, rest = self._received.partition(b"\n")
            if end:
                self._received = rest
                if answer := parsed(line.decode("utf-8", "replace")):
                    return value_of(answer)
                continue
            try:
                more = self._connection.recv(1 << 16)
            except TimeoutError:
                self.kill()
                raise no_answer(f"{self.side}, asked to {self._name},", limit_seconds) from None
            except OSError:
                more = b""
            if not more:
                raise WorkerError(f"{self.side} died while it was asked to {self._name}")
            self._received += more

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
        images: A file with the tensors that `bench.gate.worker.serve` takes.
        passive: Threads wait without spinning, should a library start any: the other side has the core. Not where a
            worker is to be like the process of a user.
    """

    def __init__(self, images: Path, *, passive: bool = True) -> None:
        self._images, self._passive = images, passive

    def __enter__(self) -> Forge:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_SECONDS)
        with theirs:
            words = module_words("bench.gate.fork", str(self._images), str(theirs.fileno()))
            waiting = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"} if self._passive else {}
            self._process = Process(words, waiting, kept=[theirs.fileno()])
            self._process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.wait_for_end(END_SECONDS)  # it takes leave of its workers
        self._process.__exit__(kind, error, traceback)

    @contextlib.contextmanager
    def worker(self, tree: Path, side: str = "the worker") -> Iterator[Worker]:
        """A fresh worker for the `fcnn` in `tree`, killed at the end.

        Raises:
            WorkerError: It did not start.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = self._fork(tree, theirs)
            worker = Worker(pid, ours, side)
            try:
                yield worker
            finally:
                worker.kill()

    def _fork(self, tree: Path, theirs: socket.socket) -> int:
        number = array.array("q", [0])
        try:
            socket.send_fds(self._control, [os.fsencode(tree)], [theirs.fileno()])
            answer = self._control.recv(number.itemsize, socket.MSG_WAITALL)
        except TimeoutError:
            raise no_answer("the process that forks the workers", START_SECONDS) from None
        except OSError:
            answer = b""
        if len(answer) < number.itemsize:
            raise WorkerError(f"the process that forks the workers died: {self._process.last_words()}")
        return int.from_bytes(answer, sys.byteorder, signed=True)


if __name__ == "__main__":
    main()
