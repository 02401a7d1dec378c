"""A cell: a planned case and everything that is derived of it. `bench.analyse.cells` makes them of a record."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.analyse.account import Account
from bench.analyse.compiling import Payoff
from bench.analyse.gains import Gain
from bench.analyse.roofline import Roofline, why_no_latency
from bench.analyse.statistics import Ratio, Summary
from bench.analyse.trust import HARMLESS, objections
from bench.record.measurement import CaseFields, Flag, Measurement
from bench.record.model import Record, Unmeasured

UNCOMPILED = ("off", "graph")  # of the compiler axis, what no compiler makes


@dataclass(frozen=True)
class Versus:
    """One cell against another.

    Attributes:
        ratio: With its interval; which way round is said where it is made. None with the `reason`.
        baseline_id: The other cell's id; None where there is no such cell.
    """

    ratio: Ratio | None = None
    baseline_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Cell:
    """A planned case and what came of it. Either `measurement` and `summary` are there, or `unmeasured` is.

    Attributes:
        record: Where it comes from.
        images_per_second: From the median; None where a repetition does not train on images.
        speedup: How many times as fast as eager fp32 with plain Adam on this machine's CPU, the rest being the same.
        against_loader: For epochs, how many times as fast as with the tutorial's DataLoader.
        against_eager: For compiled cases, how many times as fast as the same case not compiled.
        share_of_step: For the parts of a step, this part's time over the whole step's.
        roofline: The least time that arithmetic, bytes and latency allow here; None with the reason in
            `why_no_roofline`.
        account: Where the time goes; None where the case was not taken apart.
        gains: What one other choice gains, as measured in the same run, the most first.
        payoff: For compiled cases, when compiling has paid; None with the reason in `why_no_payoff`.
    """

    record: Record = field(repr=False, compare=False)
    id: str
    case: CaseFields
    measurement: Measurement | None
    unmeasured: Unmeasured | None
    summary: Summary | None
    images_per_second: float | None = None
    speedup: Versus = Versus()
    against_loader: Versus = Versus()
    against_eager: Versus = Versus()
    share_of_step: Versus = Versus()
    roofline: Roofline | None = None
    why_no_roofline: str | None = None
    account: Account | None = None
    gains: tuple[Gain, ...] = ()
    payoff: Payoff | None = None

    @property
    def flags(self) -> list[Flag]:
        """Reasons not to trust the number; empty for a good one, and for one that is missing."""
        return [flag for flag in self.remarks if flag.name not in HARMLESS]

    @property
    def remarks(self) -> list[Flag]:
        """The flags, and what else is known against the number that comparisons do not mind."""
        return self.measurement.flags if self.measurement else []

    @property
    def flag_names(self) -> str:
        """The flags' names, each once, such as `wide, drift`."""
        return ", ".join(dict.fromkeys(flag.name for flag in self.flags))

    @property
    def why_not_judged(self) -> str | None:
        """Why this cell takes part in no comparison; None if it may."""
        if self.unmeasured:
            return f"not measured ({self.unmeasured.kind})"
        names = objections(self.measurement) if self.measurement else []
        return f"flagged: {', '.join(names)}" if names else None

    @property
    def why_half_a_roofline(self) -> str | None:
        """Why the roofline bound lacks the latency of a GPU's dependent steps, or part of it; None if it does not."""
        return why_no_latency(self.record.calibrations, self.case.device) if self.roofline else None

    @property
    def times_above_roofline(self) -> float | None:
        """The median over the roofline bound; None without one."""
        if self.roofline is None or self.summary is None or self.roofline.seconds == 0:
            return None
        return self.roofline.times_above(self.summary.time)

    @property
    def share_of_peak(self) -> float | None:
        """The fraction of the measured peak at which the case computes; None without a roofline bound."""
        return self.roofline.share_of_peak(self.summary.time) if self.roofline and self.summary else None

    @property
    def why_no_payoff(self) -> str | None:
        """Why a compiled case has no payoff; None if it has one, or nothing was compiled."""
        if self.payoff or self.case.compiler in UNCOMPILED:
            return None
        return self.against_eager.reason or "the compile time was not measured"
