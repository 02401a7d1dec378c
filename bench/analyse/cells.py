"""From a record to derived facts: a cell a planned case, with its statistics and what it may be compared with.

One rule for every comparison: both sides measured, neither flagged, or there is a reason instead of a ratio.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.statistics import Ratio, Summary, ratio, summarise
from bench.analyse.trust import objections
from bench.record.model import CaseFields, Flag, Measurement, Record, Unmeasured

PARTS = ("forward", "forward_backward", "optimizer", "step")


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
        images_per_second: From the median; None where a repetition does not train on images.
        speedup: How many times as fast as eager fp32 with plain Adam on this machine's CPU, the rest being the same.
        against_loader: For epochs, how many times as fast as with the tutorial's DataLoader.
        against_eager: For compiled cases, how many times as fast as the same case not compiled.
        share_of_step: For the parts of a step, this part's time over the whole step's.
    """

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

    @property
    def flags(self) -> list[Flag]:
        """Reasons not to trust the number; empty for a good one, and for one that is missing."""
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
        names = objections(self.measurement) if self.measurement else None
        return f"flagged: {names}" if names else None


def cells(record: Record) -> list[Cell]:
    """A cell for every planned case of the record: the measured in the record's order, then the unmeasured."""
    bare = [_measured(m) for m in record.measurements]
    bare += [Cell(u.id, u.case, None, u, None) for u in record.unmeasured]
    by_case = {cell.case: cell for cell in bare}
    return [
        dataclasses.replace(
            cell,
            speedup=_speedup(cell, by_case),
            against_loader=_against_loader(cell, by_case),
            against_eager=_against_eager(cell, by_case),
            share_of_step=_share_of_step(cell, by_case),
        )
        for cell in bare
    ]


def _measured(m: Measurement) -> Cell:
    summary = summarise(m.samples_seconds)
    # The optimizer alone updates weights; images a second would be a number without a meaning.
    images = m.images_per_repetition if m.case.workload != "optimizer" else None
    return Cell(m.id, m.case, m, None, summary, images / summary.median if images else None)


def measured_devices(everything: Sequence[Cell]) -> list[str]:
    """The devices with at least one number, in the run's order."""
    return list(dict.fromkeys(cell.case.device for cell in everything if cell.measurement))


def plain_step(everything: Sequence[Cell], device: str, batch: int, **axes: str) -> Cell | None:
    """The measured eager fp32 step with plain Adam on a device, or the one that differs from it by `axes`."""
    wanted: dict[str, object] = {"workload": "step", "device": device, "batch_size": batch, "precision": "fp32"}
    wanted |= {"compiler": "off", "optimizer": "adam", "feed": "resident", **axes}
    found = (cell for cell in everything if cell.measurement)
    return next((c for c in found if all(getattr(c.case, axis) == wanted[axis] for axis in wanted)), None)


def times_as_fast(cell: Cell, other: Cell) -> Versus:
    """How many times as fast `cell` is as `other`: above 1, `cell` is the faster."""
    return _versus(cell, other, swap=True)


def _versus(cell: Cell, other: Cell, *, swap: bool) -> Versus:
    """`cell`'s time over `other`'s, or the other way round if `swap`; a reason if either must not be judged."""
    if reason := cell.why_not_judged:
        return Versus(None, other.id, reason)
    if reason := other.why_not_judged:
        return Versus(None, other.id, f"its baseline is {reason}")
    if cell.summary is None or other.summary is None:
        return Versus(None, other.id, "not measured")
    above, below = (other.summary, cell.summary) if swap else (cell.summary, other.summary)
    return Versus(ratio(above, below), other.id)


def baseline(case: CaseFields) -> CaseFields:
    """Eager fp32 with plain Adam on the CPU: the same workload, batch size, feed and threads.

    Host memory is the CPU's device memory, so the counterpart of the `device` feed is `resident`.
    """
    feed = "resident" if case.feed == "device" else case.feed
    eager = dataclasses.replace(case, compiler="off", precision="fp32", optimizer="adam")
    return dataclasses.replace(eager, device="cpu", feed=feed, pin_memory=False)


def _speedup(cell: Cell, by_case: Mapping[CaseFields, Cell]) -> Versus:
    return _against(cell, by_case, baseline(cell.case), "no CPU baseline in this run")


def _against_loader(cell: Cell, by_case: Mapping[CaseFields, Cell]) -> Versus:
    if cell.case.workload != "epoch":
        return Versus()
    loader = dataclasses.replace(cell.case, feed="loader", num_workers=0, pin_memory=False)
    return _against(cell, by_case, loader, "no DataLoader epoch in this run")


def _against_eager(cell: Cell, by_case: Mapping[CaseFields, Cell]) -> Versus:
    if cell.case.compiler == "off":
        return Versus()
    eager = dataclasses.replace(cell.case, compiler="off")
    return _against(cell, by_case, eager, "not run without the compiler")


def _share_of_step(cell: Cell, by_case: Mapping[CaseFields, Cell]) -> Versus:
    if cell.case.workload not in PARTS:
        return Versus()
    step = by_case.get(dataclasses.replace(cell.case, workload="step"))
    if step is None:
        return Versus(reason=cell.why_not_judged or "no whole step in this run")
    return _itself(cell) if step is cell else _versus(cell, step, swap=False)


def _against(cell: Cell, by_case: Mapping[CaseFields, Cell], case: CaseFields, missing: str) -> Versus:
    other = by_case.get(case)
    if other is None:
        return Versus(reason=cell.why_not_judged or missing)
    return _itself(cell) if other is cell else times_as_fast(cell, other)


def _itself(cell: Cell) -> Versus:
    """A ratio of a sample to itself is 1 without error; an interval around it would be wrong."""
    if reason := cell.why_not_judged:
        return Versus(None, cell.id, reason)
    return Versus(Ratio(1.0, 1.0, 1.0), cell.id, "baseline")
