"""The few numbers that a reader takes away from a run."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analyse.cell import Cell
from bench.analyse.cells import cells, measured_devices, plain_step
from bench.analyse.statistics import mean_interval
from bench.record.model import Record
from bench.report import units, words


@dataclass(frozen=True)
class Highlight:
    """A number large enough to see from across the room, with what it is and how sure."""

    value: str
    what: str
    detail: str


def highlights(record: Record) -> list[Highlight]:
    """The few numbers that a reader takes away: the step on each device, the epochs' extremes, the accuracy."""
    everything = cells(record)
    batch = words.REFERENCE_BATCH
    found = [
        _highlight(cell, f"a step of {batch} images on {words.name(device)}")
        for device in measured_devices(everything)
        if (cell := plain_step(everything, device, batch))
    ]
    epochs = [cell for cell in everything if cell.case.workload == "epoch" and cell.summary]
    epochs = [cell for cell in epochs if cell.case.batch_size == batch]
    if epochs:
        quickest = min(epochs, key=lambda cell: cell.summary.median if cell.summary else 0.0)
        what = f"an epoch on {words.name(quickest.case.device)}, {words.name(quickest.case.feed)}"
        found.append(_highlight(quickest, what))
    for cell in everything:
        if cell.measurement and (accuracy := cell.measurement.accuracy):
            mean, low, high = mean_interval(accuracy.test_accuracy_fraction)
            bounds = "" if low is None or high is None else f"{100 * low:.2f} to {units.percent(min(high, 1.0))}, "
            seeds = f"{len(accuracy.seeds)} {words.plural(len(accuracy.seeds), 'seed')}"
            what = f"mean test accuracy on {words.name(cell.case.device)}"
            found.append(Highlight(units.percent(mean), what, bounds + seeds))
            break
    return found


def _highlight(cell: Cell, what: str) -> Highlight:
    if cell.summary is None:
        return Highlight(units.MISSING, what, "")
    bounds = units.interval(cell.summary)
    detail = "no interval" if bounds == units.MISSING else f"95% interval {bounds}"
    return Highlight(units.median(cell.summary), what, f"{detail}{words.flag_mark(cell)}")
