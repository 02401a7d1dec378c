"""The few numbers that a reader takes away from a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analyse.cell import Cell
from bench.analyse.cells import cells, measured_devices, plain_step, step_feeds
from bench.analyse.statistics import Ratio, mean_interval
from bench.record.model import Record
from bench.report import units, words

PLAIN = ("off", "fp32", "adam")


@dataclass(frozen=True)
class Highlight:
    """A number large enough to see from across the room, with what it is and how sure."""

    value: str
    what: str
    detail: str


def highlights(record: Record) -> list[Highlight]:
    """The few numbers that a reader takes away: ratios first, then times and the accuracy."""
    everything = cells(record)
    batch = words.REFERENCE_BATCH
    found = [*_ratios(everything)]
    found += [
        _highlight(cell, f"a step of {batch} images on {words.name(device)}")
        for device in measured_devices(everything)
        if (cell := plain_step(everything, device, batch))
    ]
    found += _quickest_steps(everything)
    epochs = [cell for cell in everything if cell.case.workload == "epoch" and cell.summary]
    epochs = [cell for cell in epochs if cell.case.batch_size == batch]
    if epochs:
        quickest = min(epochs, key=lambda cell: cell.summary.time if cell.summary else 0.0)
        what = f"an epoch on {words.name(quickest.case.device)}, {words.name(quickest.case.feed)}"
        what += f", {words.name(quickest.case.compiler)}" if quickest.case.compiler != "off" else ""
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


def _quickest_steps(everything: Sequence[Cell]) -> Iterator[Highlight]:
    """On an accelerator, what a step comes down to: eager and plain, it mostly waits for the host."""
    for device in measured_devices(everything):
        steps = [c for c in everything if c.case.workload == "step" and c.case.batch_size == words.REFERENCE_BATCH]
        steps = [c for c in steps if c.case.device == device and c.summary and not c.why_not_judged]
        if device == "cpu" or not steps:
            continue
        quickest = min(steps, key=lambda cell: cell.summary.time if cell.summary else 0.0)
        case = quickest.case
        changed = [choice for choice in (case.compiler, case.precision, case.optimizer) if choice not in PLAIN]
        if changed:
            mode = ", ".join(words.name(choice) for choice in changed)
            what = f"the quickest step of {case.batch_size} images on {words.name(device)}: {mode}"
            yield _highlight(quickest, what)


def _ratios(everything: Sequence[Cell]) -> Iterator[Highlight]:
    """What a single run can promise: the accelerator against the CPU, and the tutorial's loader against memory."""
    batch = words.REFERENCE_BATCH
    for device in measured_devices(everything):
        feeds = step_feeds(everything, device) if device != "cpu" else []
        cell = plain_step(everything, device, batch, feed=feeds[0]) if feeds else None
        if cell and cell.speedup.ratio:
            fed = words.fed_from(feeds[0], feeds).removesuffix(", ")
            what = f"a step of {batch} images on {words.name(device)}{f' {fed}' if fed else ''}"
            yield _multiple(cell.speedup.ratio, f"{what}, as a multiple of the CPU's speed")
    epochs = [cell for cell in everything if cell.case.workload == "epoch" and cell.case.batch_size == batch]
    gains = [cell.against_loader.ratio for cell in epochs if cell.against_loader.ratio and cell.case.feed != "loader"]
    if gains:
        best = max(gains, key=lambda ratio: ratio.value)
        yield _multiple(best, f"an epoch from memory, as a multiple of {words.name('loader')}'s speed")


def _multiple(ratio: Ratio, what: str) -> Highlight:
    number, _, bounds = units.ratio(ratio).partition(" ")
    return Highlight(f"{number}×", what, f"95% interval {bounds.strip('()')}")


def _highlight(cell: Cell, what: str) -> Highlight:
    if cell.summary is None:
        return Highlight(units.MISSING, what, "")
    bounds = units.interval(cell.summary)
    detail = "no interval" if bounds == units.MISSING else f"95% interval {bounds}"
    return Highlight(units.time(cell.summary), what, f"{detail}{words.flag_mark(cell)}")
