"""The public Python calls: time a step of your own, or set two against each other.

from bench.api import compare, measure
print(measure(my_step).summary.time)  # seconds per call
print(compare(my_step, my_faster_step).ratio)  # below 1: the second is faster
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bench.axes.devices import DEVICES, gpu, gpu_number
from bench.measure import comparison, sampling
from bench.measure.clock import Clock
from bench.measure.comparison import Comparison
from bench.measure.sampling import Samples, SamplingRule

__all__ = ["Comparison", "Samples", "compare", "measure"]


def measure(step: Callable[[], object], *, device: str = "cpu", seconds: float = 1.0) -> Samples:
    """Times a callable: blocks of at least 5 ms, after a warm-up, until the median is known to 1% or time is up.

    Args:
        step: Called with no arguments, its result ignored.
        device: Where its work is queued (`cpu`, `cuda`, `cuda:1`, ...): it is waited for before and after every block.
        seconds: Most time for samples, twice that for unsteady ones.

    Returns:
        The samples in seconds per call, their `summary`, and `flags`: reasons not to trust them.

    Raises:
        ValueError: There is no such device here, or `seconds` is no length of time.
        TypeError: `step` cannot be called.
        Exception: Whatever `step` raises.
    """
    _check([step], seconds)
    return sampling.measure(step, _clock(device), SamplingRule(budget_seconds=seconds))


def compare(
    reference: Callable[[], object],
    candidate: Callable[[], object],
    *,
    device: str = "cpu",
    seconds: float = 2.0,
) -> Comparison:
    """Times two callables in turns, so that whatever changes on the machine meanwhile meets both.

    Args:
        reference: Called with no arguments, its result ignored.
        candidate: The same.
        device: Where their work is queued.
        seconds: For how long.

    Returns:
        Their seconds per call, round by round, and `ratio`: the candidate's time as a multiple of the reference's, with
        its 95% interval. The interval is of this process; another may differ by more.

    Raises:
        ValueError: There is no such device here, or `seconds` is no length of time.
        TypeError: One of them cannot be called.
        Exception: Whatever the callables raise.
    """
    _check([reference, candidate], seconds)
    return comparison.compare(reference, candidate, _clock(device), seconds)


def _check(callables: Sequence[object], seconds: float) -> None:
    for one in callables:
        if not callable(one):
            raise TypeError(f"what is timed is called with no arguments, and {one!r} cannot be called")
    if not 0 < seconds < math.inf:
        raise ValueError(f"seconds are to be more than 0 and finite, and are {seconds!r}")


def _clock(device: str) -> Clock:
    device = str(device)  # a torch.device, too
    number = gpu_number(device)
    row = DEVICES[device] if number is None else gpu(number)
    if reason := row.why_missing():
        raise ValueError(f"{device}: {reason}")
    return Clock(row)
