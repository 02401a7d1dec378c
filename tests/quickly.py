"""What a test that is to be quick does less often, or in a smaller size, than a run."""

import functools
from typing import Any

from bench.measure import breakdown, calibration
from bench.measure.sampling import SamplingRule


def take_apart_once(monkeypatch: Any) -> None:
    """What a step is made of is looked at once."""
    for name in ("FEWEST_TURNS", "MOST_TURNS", "PROFILED_BLOCKS", "MOST_PROFILED"):
        monkeypatch.setattr(breakdown, name, 1)


def measure_once(monkeypatch: Any) -> None:
    """All that a run measures beside its cases, for tests of what becomes of the numbers: these say nothing."""
    from bench.workers import observe

    take_apart_once(monkeypatch)
    monkeypatch.setattr(observe, "PHASES_SECONDS", 0.01)
    monkeypatch.setattr(calibration, "RULE", SamplingRule(block_seconds=0.0, budget_seconds=0.0, warmup_seconds=0.0))
    monkeypatch.setattr(calibration, "CPU_MATMUL_SIZE", 64)
    monkeypatch.setattr(calibration, "CPU_COPY_BYTES", 2**16)
    monkeypatch.setattr(calibration, "_kept", functools.cache(calibration._kept.__wrapped__))  # of these sizes
