"""From a record to derived facts: a cell a planned case, with its statistics and what it may be compared with.

One rule for every comparison: both sides measured, neither flagged, or there is a reason instead of a ratio.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bench.analyse.account import account
from bench.analyse.cell import Cell, Versus
from bench.analyse.compiling import Payoff, payoff
from bench.analyse.gains import Gain, gains
from bench.analyse.levels import Estimate, difference, ratio_of, summary_of, time_of
from bench.analyse.once import once_a_record
from bench.analyse.roofline import roofline
from bench.analyse.statistics import Ratio
from bench.analyse.trust import judged
from bench.axes.axis import AXES
from bench.axes.feeds import FEEDS
from bench.axes.workloads import STEP_WORKLOADS, workload
from bench.record.measurement import CaseFields, Measurement
from bench.record.model import Record

DISTURBED = "the bound came out above the time itself, so something disturbed the calibration"


@once_a_record
def cells(record: Record) -> tuple[Cell, ...]:
    """A cell for every planned case of the record: the measured in the record's order, then the unmeasured."""
    record = judged(record)
    bare = [_measured(m, record) for m in record.measurements]
    bare += [Cell(record, u.id, u.case, None, u, None) for u in record.unmeasured]
    by_case = {cell.case: cell for cell in bare}
    ids = {case: cell.id for case, cell in by_case.items() if cell.measurement}
    return tuple(
        dataclasses.replace(
            cell,
            speedup=_speedup(cell, by_case),
            against_loader=_against_loader(cell, by_case),
            against_eager=_against_eager(cell, by_case),
            share_of_step=_share_of_step(cell, by_case),
            payoff=_payoff(cell, by_case),
            gains=_gains(cell, by_case, ids),
        )
        for cell in bare
    )


def _measured(m: Measurement, record: Record) -> Cell:
    summary = summary_of(m, record)
    # The optimizer alone updates weights; images per second would be a number without a meaning.
    images = m.images_per_repetition if workload(m.case.workload).forward else None
    rate = images / summary.time if images else None
    cell = Cell(record, m.id, m.case, m, None, summary, rate, account=account(m, record))
    bounds = roofline(m, record)
    if workload(m.case.workload).own:
        return dataclasses.replace(cell, why_no_roofline="a program does not say what number format it has")
    if bounds is None:
        return dataclasses.replace(cell, why_no_roofline="there are no counts or no calibrations for it")
    if bounds.seconds > summary.time:
        # Nothing is faster than its roofline bound: what it was made of is wrong.
        return dataclasses.replace(cell, why_no_roofline=DISTURBED)
    return dataclasses.replace(cell, roofline=bounds)


def measured_devices(everything: Sequence[Cell]) -> list[str]:
    """The devices with at least one number, in the run's order."""
    return list(dict.fromkeys(cell.case.device for cell in everything if cell.measurement))


def program_cells(everything: Sequence[Cell], device: str | None = None) -> list[Cell]:
    """The measured steps of a program of the user's own, on a device or on all, smaller batches first."""
    own = [cell for cell in everything if cell.summary and workload(cell.case.workload).own]
    chosen = [cell for cell in own if device in (None, cell.case.device)]
    return sorted(chosen, key=lambda cell: (cell.case.device, cell.case.batch_size, cell.case.threads))


def plain_step(everything: Sequence[Cell], device: str, batch: int, **axes: str) -> Cell | None:
    """The measured eager fp32 step with plain Adam on a device, or the one that differs from it by `axes`."""
    # Whatever the number of threads, and the options that only one feed has.
    wanted: dict[str, object] = {axis.field: axis.default for axis in AXES if axis.default and not axis.feed}
    wanted |= {"device": device, "batch_size": batch, **axes}
    measured = (cell for cell in everything if cell.measurement)
    return next((c for c in measured if all(getattr(c.case, axis) == wanted[axis] for axis in wanted)), None)


def step_feeds(everything: Sequence[Cell], device: str) -> list[str]:
    """The feeds that the plain step was measured with on a device, the one without copies first."""
    feeds = {cell.case.feed for cell in everything if cell.measurement and cell.case.device == device}
    return [
        feed
        for feed in dict.fromkeys(("device", "resident", *FEEDS))
        if feed in feeds and any(plain_step(everything, device, size, feed=feed) for size in _batch_sizes(everything))
    ]


def _batch_sizes(everything: Sequence[Cell]) -> list[int]:
    return sorted({cell.case.batch_size for cell in everything})


def curve(everything: Sequence[Cell], device: str, **axes: str) -> dict[int, Cell]:
    """The step by batch size, as `plain_step` finds it; flagged cells, which are not judged, are left out."""
    steps = [plain_step(everything, device, batch, **axes) for batch in _batch_sizes(everything)]
    return {cell.case.batch_size: cell for cell in steps if cell and not cell.why_not_judged}


def log_ratios(first: Mapping[int, Cell], second: Mapping[int, Cell]) -> dict[int, Estimate]:
    """The second curve's time over the first's, by batch size."""
    ratios = {size: _estimate(second[size], first[size]) for size in first.keys() & second.keys()}
    return {size: estimate for size, estimate in sorted(ratios.items()) if estimate}


def _estimate(above: Cell, below: Cell) -> Estimate | None:
    """The time of one cell over another's: within rounds, or, of two records, by both intervals."""
    a, b = above.measurement, below.measurement
    if a is None or b is None:
        return None
    if above.record is below.record:
        return ratio_of(a, b, above.record)
    return difference(time_of(b, below.record), time_of(a, above.record))


def times_as_fast(cell: Cell, other: Cell) -> Versus:
    """How many times as fast `cell` is as `other`: above 1, `cell` is the faster."""
    return _versus(cell, other, swap=True)


def _versus(cell: Cell, other: Cell, *, swap: bool) -> Versus:
    """`cell`'s time over `other`'s, or the other way round if `swap`; a reason if either must not be judged."""
    if reason := cell.why_not_judged:
        return Versus(None, other.id, reason)
    if reason := other.why_not_judged:
        return Versus(None, other.id, f"its baseline is {reason}")
    estimate = _estimate(other, cell) if swap else _estimate(cell, other)
    if estimate is None:
        return Versus(None, other.id, "they were not measured in the same rounds")
    return Versus(estimate.ratio(), other.id)


def baseline(case: CaseFields) -> CaseFields:
    """Eager fp32 with plain Adam on the CPU: the same workload, batch size, feed and threads.

    Host memory is the CPU's device memory, so the counterpart of the `device` feed is `resident`.
    """
    feed = "resident" if case.feed == "device" else case.feed
    plain = {axis.field: axis.default for axis in AXES if axis.varies_step}
    return dataclasses.replace(case, device="cpu", feed=feed, pin_memory=False, **plain)  # type: ignore[arg-type]


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


def _payoff(cell: Cell, by_case: Mapping[CaseFields, Cell]) -> Payoff | None:
    speedup, compilation = (
        _against_eager(cell, by_case).ratio,
        cell.measurement.compilation if cell.measurement else None,
    )
    if speedup is None or compilation is None:
        return None
    eager = by_case[dataclasses.replace(cell.case, compiler="off")].summary
    return payoff(compilation.cold_seconds, eager.time, speedup) if eager else None


def _gains(cell: Cell, by_case: Mapping[CaseFields, Cell], ids: Mapping[CaseFields, str]) -> tuple[Gain, ...]:
    if cell.summary is None or cell.why_not_judged:
        return ()
    return gains(cell.case, cell.summary.time, ids, lambda other: times_as_fast(by_case[other], cell).ratio)


def _share_of_step(cell: Cell, by_case: Mapping[CaseFields, Cell]) -> Versus:
    if cell.case.workload not in STEP_WORKLOADS:
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
