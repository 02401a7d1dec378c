"""Signals that would end the program: the first interrupts it, the next ones do not keep it from ending in order."""

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
    first, _State.came = not _State.came, True
    if first and not _State.waiting:
        raise KeyboardInterrupt


def take_signals() -> None:
    """Makes the first of the signals a KeyboardInterrupt; one that somebody ignores, as nohup does, stays ignored."""
    for number in _numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)


def ignore() -> None:
    """From now on nothing interrupts: only Python's own end is left, which would put the usual handlers back."""
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


def check() -> None:
    """Raises the KeyboardInterrupt that a library has swallowed, as one in an import or a destructor is."""
    if _State.came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets what is done inside come to its end before a signal interrupts."""
    _State.waiting = True
    try:
        yield
    finally:
        _State.waiting = False
    check()


def _numbers() -> list[int]:
    return [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]
