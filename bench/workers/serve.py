"""A worker's side of the protocol; `python -m bench.workers.serve` is one that was started afresh.

Imports neither torch nor `fcnn`: whose `fcnn` it works with, a worker may be told first.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bench.errors import BenchError, reason_of
from bench.workers.requests import REQUESTS

PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass
class State:
    """What a worker keeps between requests.

    Attributes:
        images: The images it works on (`bench.workers.images`); None until it has been told which.
        cases: What has been prepared, by id.
        busy_until: By device, when its last turn ended, by the clock of its cases.
        tree: The folder of the side's program, if it has one; an error in there is told with its place.
        file: Of a program of the user's own, its path in `tree`.
        graphs: That torch.compile had made before it was told of that program.
    """

    images: Any = None
    cases: dict[str, Any] = field(default_factory=dict)
    busy_until: dict[str, float] = field(default_factory=dict)
    tree: str = ""
    file: str = ""
    graphs: int = 0


def function(name: str) -> Callable[..., Any]:
    """What answers a request; raises KeyError for one that is not in the table."""
    module, _, attribute = REQUESTS[name].rpartition(".")
    handler: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return handler


def serve(state: State, requests: IO[str], answers: IO[str]) -> None:
    """Answers every request until they end; what it raises is the answer's reason."""
    for line in requests:
        name, arguments = json.loads(line)
        try:
            answer: dict[str, Any] = {"value": function(name)(state, **arguments)}
        except (Exception, SystemExit) as error:  # a program that exits has failed
            place = place_of(error, state.tree)
            # The text of a SyntaxError ends with a place of its own.
            reason = f"SyntaxError: {error.msg}" if place and isinstance(error, SyntaxError) else reason_of(error)
            answer = {"error": place + reason}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def place_of(error: BaseException, tree: str) -> str:
    """`model.py:12: `, the last line of a folder's files that an error came through; nothing if there is none."""
    if not tree or isinstance(error, BenchError):
        return ""
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno or 1))
    inside = [(Path(file).relative_to(tree), line) for file, line in places if Path(file).is_relative_to(tree)]
    return f"{inside[-1][0].as_posix()}:{inside[-1][1]}: " if inside else ""


def end_with(parent: int) -> None:
    """Where the system can (Linux), this process is killed when the one that started it has gone, whatever it does."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before
        os._exit(1)


def main() -> None:
    """Serves standard input; what libraries print goes to standard error."""
    end_with(os.getppid())
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(State(), sys.stdin, answers)


if __name__ == "__main__":
    main()
