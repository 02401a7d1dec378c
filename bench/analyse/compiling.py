"""Whether compiling pays: the steps after which the time saved has repaid the time spent on compiling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analyse.statistics import Ratio


@dataclass(frozen=True)
class Payoff:
    """What compiling costs and brings.

    Attributes:
        compile_seconds: From a cold start.
        speedup: Eager time over compiled time, steady state.
        steps: Steps after which compiling has paid; None is never, or nobody can tell: the speedup is not clear.
        low, high: The 95% interval of `steps`, from that of the speedup.
    """

    compile_seconds: float
    speedup: Ratio
    steps: int | None = None
    low: int | None = None
    high: int | None = None

    def in_words(self) -> str:
        """`steps` with its interval, to three digits."""
        value, low, high = (_three_digits(number) for number in (self.steps, self.low, self.high))
        return f"{value} ({low} to {high})"

    def sentence(self) -> str:
        """The finding in words."""
        if not self.speedup.clear:
            outcome = "is not clearly faster"
        elif self.steps is None:
            outcome = "is not won back: the compiled step is slower"
        else:
            outcome = f"has paid after {self.in_words()} steps"
        return f"compiling takes {self.compile_seconds:.1f} s from cold and {outcome}"


def _three_digits(number: int | None) -> str:
    return "?" if number is None else f"{round(number, min(0, 3 - len(str(number)))):,}"


def payoff(cold: float, eager_seconds: float, speedup: Ratio) -> Payoff:
    """The payoff of a compiled case.

    Args:
        cold: Seconds that compiling takes from cold.
        eager_seconds: A repetition of the eager case.
        speedup: Its time over the compiled case's.
    """
    if speedup.low is None or speedup.high is None or speedup.low <= 1:
        return Payoff(cold, speedup)

    def steps(times: float) -> int:
        """Steps that save what compiling costs, at a speedup of so many times."""
        return math.ceil(cold / (eager_seconds - eager_seconds / times))

    return Payoff(cold, speedup, steps(speedup.value), steps(speedup.high), steps(speedup.low))
