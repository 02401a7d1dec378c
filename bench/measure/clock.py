"""The one clock: monotonic, synchronised with the device before and after every block."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.axes.devices import DEVICES, Device


@dataclass(frozen=True)
class Block:
    """One timed block: host wall time and, where the device has events, the time between two of them (seconds)."""

    host_seconds: float
    device_seconds: float | None


@dataclass(frozen=True)
class Clock:
    """Times blocks of a repetition on a device.

    Attributes:
        device: Whose queue is waited for and whose events are recorded.
        now: Monotonic seconds; a test's simulated clock goes here.
    """

    device: Device = DEVICES["cpu"]
    now: Callable[[], float] = time.perf_counter

    def time_block(self, repeat: Callable[[], object], repetitions: int) -> Block:
        """Runs `repeat` so many times; nothing else happens between the two readings but the loop itself."""
        events = self.device.timing_event and (self.device.timing_event(), self.device.timing_event())
        self.device.synchronize()
        start = self.now()
        if events:
            events[0].record()
        for _ in range(repetitions):
            repeat()
        if events:
            events[1].record()
        self.device.synchronize()
        end = self.now()
        if not events:
            return Block(end - start, None)
        # Already over, if the device was waited for; if not, it is to show, and CUDA reads no event that lies ahead.
        events[1].synchronize()
        return Block(end - start, events[0].elapsed_time(events[1]) / 1e3)  # it is in milliseconds


def clock_resolution_seconds(now: Callable[[], float] = time.perf_counter) -> float:
    """The smallest step that the clock was seen to make, in seconds."""
    steps = []
    for _ in range(50):
        begin = end = now()
        while end == begin:
            end = now()
        steps.append(end - begin)
    return min(steps)


@contextlib.contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Collects once, then keeps the collector from running inside a timed block; the same for every case."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
