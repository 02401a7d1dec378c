"""Signals that end a command: the first interrupts it, the next ones leave it in peace to save what was measured."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

# Ctrl-C, Ctrl-\, a closed terminal, and what job schedulers and limits send.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU")


class _State:
    """What has come; module-wide, as signal handlers are."""

    came: str | None = None
    waiting = False


def _handle(number: int, frame: FrameType | None) -> None:
    if _State.came is None:
        _State.came = signal.Signals(number).name
        if not _State.waiting:
            raise KeyboardInterrupt


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Makes the first of the signals a KeyboardInterrupt and ignores the later ones, until the context ends.

    A signal that somebody has chosen to ignore (nohup, a shell's background jobs) or to handle stays so.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler)
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, handler in before.items() if handler in usual]
    _State.came, _State.waiting = None, False
    try:
        for number in taken:
            signal.signal(number, _handle)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])
        _State.came = None


def ignore() -> None:
    """From now on nothing interrupts: the command is done, and only Python's own end is left."""
    for name in NAMES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def check() -> None:
    """Raises the KeyboardInterrupt that a library has swallowed, as one in a callback or a destructor is."""
    if _State.came is not None:
        raise KeyboardInterrupt


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets what is done inside come to its end before a first signal interrupts."""
    before, came = _State.waiting, _State.came
    _State.waiting = True
    try:
        yield
    finally:
        _State.waiting = before
    if came is None and not before:
        check()
