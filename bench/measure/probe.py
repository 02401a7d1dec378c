"""What a calibration is made of: a probe, and the repetition that it becomes on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.measure.clock import Clock
from bench.record.kinds import Unit


@dataclass(frozen=True)
class ReadyProbe:
    """A probe that is ready to be timed.

    Attributes:
        repeat: One repetition; it may only have been queued.
        work: What a repetition does, in the probe's unit.
        check: Called once after all; raises where the repetitions did not do what they are timed for.
    """

    repeat: Callable[[], object]
    work: float
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Probe:
    """One fixed probe of a device.

    Attributes:
        unit: What the work is counted in.
        prepare: Makes it ready on a device (by torch's name), with a clock for a first estimate.
        concerns: Whether it makes sense on a device (by the name of its row).
        why_not: Why it cannot be had here; None if it can.
    """

    name: str
    unit: Unit
    prepare: Callable[[str, Clock], ReadyProbe]
    concerns: Callable[[str], bool] = lambda device: True
    why_not: Callable[[], str | None] = lambda: None
