"""A process that has imported torch and started no threads, from which every worker is forked.

`python -m bench.gate.fork IMAGES SOCKET`: reads the folder of a worker's `fcnn` from standard input, a line each,
forks, and answers with the process id. The worker connects to the socket and serves there.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

PATIENCE_SECONDS = 120.0  # for a worker to appear, and for an answer


def main() -> None:
    """Forks until the input ends."""
    import torch
    import torch._dynamo

    # The optimizers import the compiler when they are first used; here it is imported once for all workers.
    torch.set_num_threads(1)
    images = torch.load(sys.argv[1])
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that torch's objects are on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work(line.strip(), images, sys.argv[2])
        print(pid, flush=True)


def _work(tree: str, images: Any, address: str) -> None:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        from bench.gate.worker import serve

        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            with connection.makefile("r", encoding="utf-8") as source, connection.makefile("w", encoding="utf-8") as to:
                serve(tree, images, source, to)
        code = 0
    finally:
        os._exit(code)


class WorkerError(Exception):
    """A worker that failed; the message is its error."""


class Worker:
    """A forked worker, from the outside."""

    def __init__(self, pid: int, requests: IO[str], answers: IO[str]) -> None:
        self.pid, self._requests, self._answers = pid, requests, answers

    def ask(self, name: str, **arguments: Any) -> Any:
        """The worker's answer; raises WorkerError."""
        self.begin(name, **arguments)
        return self.end()

    def begin(self, name: str, **arguments: Any) -> None:
        """Sends a request without waiting."""
        self._requests.write(json.dumps([name, arguments]) + "\n")
        self._requests.flush()

    def end(self) -> Any:
        """Waits for the answer to `begin`."""
        line = self._answers.readline()
        if not line:
            raise WorkerError("the worker died")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["value"]

    def stop(self) -> None:
        """Keeps an idle worker's threads from spinning on the core that the other needs."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends `stop`."""
        os.kill(self.pid, signal.SIGCONT)


class Forge:
    """Makes workers; a context.

    Args:
        images: A file with the tensors that `bench.gate.worker.serve` takes.
        scratch: A folder for the socket.
        passive: Threads wait without spinning, should a library start any: the other side has the core. Not where a
            worker is to be like the process of a user.
    """

    def __init__(self, images: Path, scratch: Path, *, passive: bool = True) -> None:
        self._images, self._address, self._passive = images, scratch / "workers", passive

    def __enter__(self) -> Forge:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._address))
        self._listener.listen()
        self._listener.settimeout(PATIENCE_SECONDS)
        words = [sys.executable, "-m", "bench.gate.fork", str(self._images), str(self._address)]
        waiting = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"} if self._passive else {}
        environment = {**os.environ, **waiting}
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=root
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._listener.close()
        self._address.unlink(missing_ok=True)

    @contextlib.contextmanager
    def worker(self, tree: Path) -> Iterator[Worker]:
        """A fresh worker for the `fcnn` in `tree`, killed at the end.

        Raises:
            WorkerError: It did not start.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{tree}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise WorkerError("the process that forks the workers died")
        pid = int(answer)
        try:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                raise WorkerError(f"a worker did not start within {PATIENCE_SECONDS:.0f} s") from None
            with (
                connection,
                connection.makefile("w", encoding="utf-8") as requests,
                connection.makefile("r", encoding="utf-8") as answers,
            ):
                yield Worker(pid, requests, answers)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
