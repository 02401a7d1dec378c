"""Starting from nothing: what of it takes how long, over the processes that did."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from bench.record.measurement import StartUp

STAGES: dict[str, Callable[[StartUp], float | None]] = {
    "importing": lambda one: one.import_seconds,
    "reading the images": lambda one: one.images_seconds,
    "the device's context": lambda one: one.context_seconds or 0.0,  # the CPU has none
    "the device's first operation": lambda one: one.device_seconds,
    "the first step": lambda one: one.first_step_seconds,
    "training": lambda one: one.training_seconds,
}


def total_seconds(one: StartUp) -> float | None:
    """From nothing to the target; None if it was not reached."""
    parts = [part(one) for part in STAGES.values()]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def median_of(starts: Sequence[StartUp], get: Callable[[StartUp], float | None]) -> float | None:
    """The median over all processes; None where there are none, or one did not get so far."""
    values = [value for one in starts if (value := get(one)) is not None]
    return statistics.median(values) if values and len(values) == len(starts) else None
