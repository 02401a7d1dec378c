"""Why a case takes its time: one verdict, its evidence, and what would help."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analyse.floor import cost, floor
from bench.analyse.levels import time_of
from bench.record.model import Measurement, Record

HELP = {
    "data": "keep the images in memory as one tensor (feed resident), or give the loader worker processes",
    "transfer": "keep the images on the device (feed device), or copy from pinned memory",
    "dispatch": "a larger batch, a fused optimizer, or a compiled step: fewer and larger operator calls",
    "launch": "a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels",
    "compute": "a faster number format, more cores, or a faster processor: the arithmetic itself takes the time",
    "memory": "fewer bytes: a smaller number format, fused operators, or a processor with more bandwidth",
    "latency": "a larger batch, so that there are fewer steps: each waits for the one before, however fast it is",
}


@dataclass(frozen=True)
class Verdict:
    """What bounds a case.

    Attributes:
        bound: A key of `HELP`.
        seconds: The seconds of a repetition that this accounts for, and `share` of the median.
        evidence: A sentence with the numbers.
    """

    bound: str
    seconds: float
    share: float
    evidence: str

    @property
    def help(self) -> str:
        """What would make it faster."""
        return HELP[self.bound]


def explain(measurement: Measurement, record: Record) -> Verdict | None:
    """The verdict on a measured case; None if its counters, phases or yardsticks are missing.

    Every candidate is a time: the waiting for data, the copy to an accelerator, the operator calls at the price of
    one (dispatch on the CPU, launch on an accelerator), the arithmetic at the measured peak, the bytes at the
    measured bandwidth, on a GPU the steps that wait for one another. The largest is the verdict. Its share says how
    much it explains.
    """
    bounds = floor(measurement, record)
    counters, phases, case = measurement.counters, measurement.phases, measurement.case
    if bounds is None or counters is None:
        return None
    median = time_of(measurement, record).value
    calls = sum(counters.aten_calls.values()) * (measurement.steps_per_epoch or 1)
    dispatch = "dispatch" if case.device == "cpu" else "launch"
    price = cost(record.yardsticks, case.device, dispatch)
    if price is None:
        return None
    parts = phases.host_seconds if phases else {}
    found = {
        "data": (parts.get("fetch", 0.0), "fetching batches"),
        "transfer": (0.0 if case.device == "cpu" else parts.get("to_device", 0.0), "copying batches to the device"),
        dispatch: (calls * price, f"{calls:,} operator calls at {price * 1e6:.1f} µs each"),
        "compute": (bounds.compute_seconds, f"{bounds.flops / 1e6:,.1f} MFLOP at the measured peak"),
        "memory": (bounds.memory_seconds, "the bytes that must move, at the measured bandwidth"),
        "latency": (bounds.latency_seconds, "dependent steps, at the least that lies between two"),
    }
    bound = max(found, key=lambda name: found[name][0])
    seconds, what = found[bound]
    share = seconds / median
    return Verdict(bound, seconds, share, f"{what}: {share:.0%} of the time")
