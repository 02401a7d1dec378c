"""Signals that end a command: the first interrupts it, the next ones leave it in peace to save what was measured."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

# Ctrl-C, Ctrl-\, a closed terminal, what job schedulers and limits send, and whatever else would end a process at once.
NAMES = (
    "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU", "SIGVTALRM", "SIGPROF",
    "SIGIO", "SIGPWR", "SIGSTKFLT",
)  # fmt: skip


def numbers() -> list[int]:
    """Those of the signals that this system has, its real-time signals too."""
    named = [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]
    real_time = range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()
    return [*named, *map(int, real_time)]


class _State:
    """What has come, and whether it has interrupted; module-wide, as signal handlers are."""

    came = False
    raised = False
    waiting = False


def _handle(number: int, frame: FrameType | None) -> None:
    if not _State.came:
        _State.came = True
        if not _State.waiting:
            _interrupt()


def _interrupt() -> None:
    _State.raised = True
    raise KeyboardInterrupt


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Makes the first of the signals a KeyboardInterrupt and ignores the later ones, until the context ends.

    A signal that somebody has chosen to ignore (nohup, a shell's background jobs) or to handle stays so.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in numbers()}
    taken = [number for number, handler in before.items() if handler in usual]
    _State.came = _State.raised = _State.waiting = False
    try:
        for number in taken:
            signal.signal(number, _handle)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])
        _State.came = False


def ignore() -> None:
    """From now on nothing interrupts: the command is done, and only Python's own end is left."""
    for number in numbers():
        signal.signal(number, signal.SIG_IGN)


def check() -> None:
    """Raises the KeyboardInterrupt that a library has swallowed, as one in an import, a callback or a destructor is."""
    if _State.came and not _State.waiting:
        _interrupt()


def came() -> bool:
    """Whether a signal has come, so that what fails now may fail for that."""
    return _State.came


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets what is done inside come to its end before a first signal interrupts, but for what is `allowed`."""
    before, _State.waiting = _State.waiting, True
    try:
        yield
    finally:
        _State.waiting = before
    if _State.came and not _State.raised and not before:
        _interrupt()


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """Within `deferred`, what a first signal interrupts: measuring, which takes long and has not to be whole.

    From its end on nothing that was measured gets lost before `deferred` ends.
    """
    before = _State.waiting
    try:
        _State.waiting = False
        check()
        yield
    finally:
        _State.waiting = before
