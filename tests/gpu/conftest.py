"""What only a CUDA GPU can show. All tests of this folder bear the marker `gpu` and are skipped without one.

Each has a time limit, since a kernel that waits for itself would keep the machine: `@pytest.mark.gpu(limit_seconds=60)`
sets another than the default.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from bench.axes.devices import try_out

HERE = Path(__file__).parent
LIMIT_SECONDS = 30.0
ASK_SECONDS = 60.0  # for the first kernel of a process, which imports torch and makes the GPU's context
# A test that waits in the driver never comes back to Python, which would raise its error: this ends the process.
GRACE_SECONDS = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and not item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    """Before any other fixture: none of them can do without."""
    if reason := why_no_gpu():
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with limited(item.config, ASK_SECONDS):
        why_no_gpu()  # first, or the fixture's failure in a test of little time would be every later test's as well
    with limited(item.config, limit_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with limited(item.config, limit_of(item)):
        return (yield)


@functools.cache
def why_no_gpu() -> str | None:
    """Why no kernel can run here: that a GPU is there is not enough."""
    return try_out("cuda")


def limit_of(item: pytest.Item) -> float:
    """Seconds that a test, and what it needs, may take."""
    marker = item.get_closest_marker("gpu")
    return float(marker.kwargs.get("limit_seconds", LIMIT_SECONDS)) if marker else LIMIT_SECONDS


@contextlib.contextmanager
def limited(config: pytest.Config, seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the test once its time is up, and ends the process if that has not ended the test."""

    def end(*_: object) -> NoReturn:
        raise TimeoutError(f"the test had not ended after {seconds:g} s")

    # xdist runs tests outside the main thread only where it is told to; signals are handled in that thread alone.
    by_signal = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, end) if by_signal else None
    with terminal(config) as number:
        faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=number)
        try:
            if by_signal:
                signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            if by_signal:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def terminal(config: pytest.Config) -> Iterator[int]:
    """The standard error that pytest has before it captures a test's: what is captured is lost if the process ends."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        number = os.dup(2)
    try:
        yield number
    finally:
        os.close(number)
