"""Signals that would end the program: the first one interrupts it, later ones do not keep it from ending in order."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

NAMES = (
    "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU", "SIGVTALRM", "SIGPROF",
    "SIGIO", "SIGPWR", "SIGSTKFLT",
)  # fmt: skip


class _State:
    came = False
    waiting = False


def _handle(number: int, frame: FrameType | None) -> None:
    if not _State.came:
        _State.came = True
        if not _State.waiting:
            raise KeyboardInterrupt


def take_signals() -> None:
    """Makes the first signal a KeyboardInterrupt; one that somebody ignores, as nohup does, stays ignored."""
    for number in _numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)


def ignore() -> None:
    """From now on nothing interrupts: only Python's own end is left."""
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets what is done inside come to its end before a first signal interrupts."""
    came, _State.waiting = _State.came, True
    try:
        yield
    finally:
        _State.waiting = False
    if _State.came and not came:
        raise KeyboardInterrupt


def _numbers() -> list[int]:
    return [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]
