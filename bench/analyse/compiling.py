"""Whether compiling pays: the steps after which the time saved has repaid the time spent on compiling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analyse.statistics import Ratio, ratio, summarise
from bench.record.model import Measurement


@dataclass(frozen=True)
class Payoff:
    """What compiling costs and brings.

    Attributes:
        compile_seconds: From a cold start.
        speedup: Eager time over compiled time, steady state.
        steps: Steps after which compiling has paid; None is never.
    """

    compile_seconds: float
    speedup: Ratio
    steps: int | None

    def sentence(self) -> str:
        """The finding in words."""
        if not self.speedup.clear:
            outcome = "is not clearly faster"
        elif self.steps is None:
            outcome = "never pays here"
        else:
            outcome = f"has paid after {self.steps:,} steps"
        return f"compiling takes {self.compile_seconds:.1f} s from cold and {outcome}"


def payoff(eager: Measurement, compiled: Measurement) -> Payoff | None:
    """The payoff of a compiled case against its eager one; None if the compile time was not measured."""
    if compiled.compilation is None:
        return None
    slow, fast = summarise(eager.samples_seconds), summarise(compiled.samples_seconds)
    saved = slow.median - fast.median
    cold = compiled.compilation.cold_seconds
    steps = math.ceil(cold / saved) if saved > 0 else None
    return Payoff(cold, ratio(slow, fast), steps)
