"""The summary in plain sentences, built only from what the records hold.

A difference is claimed only where the ratio's interval excludes 1, and never of flagged cells.
"""

from __future__ import annotations

import collections
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse.cell import Cell
from bench.analyse.cells import cells, measured_devices, plain_step, step_feeds, times_as_fast
from bench.analyse.compare import mismatch
from bench.analyse.pace import disturbance
from bench.analyse.starting import STAGES, median_of, total_seconds
from bench.analyse.statistics import mean_interval
from bench.axes.axis import AXES
from bench.record.model import Record
from bench.report import formats, host, reasons, units, why
from bench.report.details import seconds_to_target
from bench.report.words import (
    REFERENCE_BATCH,
    capitalised,
    change,
    fed_from,
    flag_mark,
    machine_and_day,
    name,
    plural,
    which_is_faster,
)


@dataclass(frozen=True)
class Finding:
    """What was found, a sentence each, about a topic of one or two words."""

    topic: str
    sentences: list[str]


def findings(records: Sequence[Record]) -> list[Finding]:
    """The summary of `records[0]`, the run at hand; the others were measured elsewhere."""
    everything, *elsewhere = (cells(record) for record in records)
    candidates = [
        Finding("Measured", _measured(records[0], everything)),
        # Ratios first: they are what a single run can promise.
        Finding("CPU or GPU", _devices(records, everything, elsewhere)),
        Finding("Host", host.sentences(records[0])),
        Finding("Crossover", reasons.crossovers(records, everything, elsewhere)),
        Finding("Variants", [*_variants(everything), *formats.instructions(records[0], everything)]),
        Finding("torch.compile", reasons.compiling(records[0], everything)),
        Finding("Data feed", _feeds(everything)),
        Finding("Why", why.why(everything)),
        Finding("Training step", _reference_steps(everything)),
        Finding("Cold start", _cold_starts(everything)),
        Finding("Accuracy", [*_accuracies(everything), *formats.accuracy_differences(everything)]),
    ]
    return [finding for finding in candidates if finding.sentences]


def _measured(record: Record, everything: Sequence[Cell]) -> list[str]:
    count, flagged = len(record.measurements), sum(bool(cell.flags and cell.why_not_judged) for cell in everything)
    missing = len(record.unmeasured)
    sentences = [
        f"{count} {plural(count, 'case')} in {units.duration(record.duration_seconds)} on "
        f"{machine_and_day(record)}, with {record.dataset.label}."
    ]
    if flagged:
        sentences.append(
            f"{flagged} of them {'is' if flagged == 1 else 'are'} flagged: shown, but compared with nothing."
        )
    disturbed = [(r, reason) for r in record.rounds if (reason := disturbance(r, record))]
    beside = collections.Counter(reason for _, reason in disturbed)
    if beside:
        # By their number alone they seem few: what takes half of the time makes a round ten times as long.
        of_time = sum(r.seconds for r, _ in disturbed) / sum(r.seconds for r in record.rounds)
        sentences.append(
            f"{sum(beside.values())} of {len(record.rounds)} rounds, {of_time:.0%} of their time, were disturbed, "
            f"mostly since {beside.most_common(1)[0][0]}; the times are those of the others, or of all if too few "
            "are left."
        )
    if missing:
        sentences.append(f"{missing} more planned {plural(missing, 'case')} could not be measured; the tables say why.")
    return sentences


def _reference_steps(everything: Sequence[Cell]) -> list[str]:
    sentences = []
    for device in measured_devices(everything):
        cell = plain_step(everything, device, REFERENCE_BATCH)
        if cell and cell.summary and cell.images_per_second:
            sentences.append(
                f"In this run, a step of {REFERENCE_BATCH} images in fp32 took {units.measured(cell.summary)} on "
                f"{name(device)}, or {units.rate(cell.images_per_second)} images per second{flag_mark(cell)}. "
                f"{_on_other_days(cell)}"
            )
    return sentences


def _on_other_days(cell: Cell) -> str:
    """How far the time holds beyond this run, by what earlier runs of the machine saw."""
    earlier = cell.measurement.earlier if cell.measurement else None
    if earlier is None:
        return (
            "It is the first run of this case on this machine: on another day the whole machine may be faster or "
            "slower, by more than the interval says, and ratios hold better."
        )
    if earlier.runs == 1:
        return f"One earlier run of this machine saw {units.duration(earlier.lowest_seconds)}."
    return (
        f"{earlier.runs} earlier runs of this machine saw "
        f"{units.span(earlier.lowest_seconds, earlier.highest_seconds)}: "
        "so far a time moves from day to day, and ratios hold better."
    )


def _devices(records: Sequence[Record], everything: Sequence[Cell], elsewhere: Sequence[Sequence[Cell]]) -> list[str]:
    devices = measured_devices(everything)
    accelerators = [device for device in devices if device != "cpu"]
    if accelerators:
        verdicts = [text for device in accelerators for text in _at_batches(everything, everything, device)]
        return [f"{capitalised(text)}." for text in verdicts]
    missing = next((gap.reason for gap in records[0].unmeasured if gap.case.device != "cpu"), None)
    sentences = [f"No GPU was measured in this run{f': {missing}' if missing else ''}."]
    for other, theirs in zip(records[1:], elsewhere, strict=True):
        for device in measured_devices(theirs):
            if device != "cpu":
                sentences += _elsewhere(records[0], other, _at_batches(everything, theirs, device))
    if len(sentences) == 1:
        sentences.append("No GPU record from another machine stands beside it, so no GPU figures are shown.")
    return sentences


def _elsewhere(run: Record, other: Record, verdicts: list[str]) -> list[str]:
    opening = [f"The GPU figures shown were measured elsewhere: {machine_and_day(other)}."]
    if run.dataset.sha256 != other.dataset.sha256:
        images = f"{run.dataset.label} here, {other.dataset.label} there"
        return [*opening, f"They are not compared with this run, since the images are not the same: {images}."]
    if why := mismatch(run, other):
        return [*opening, f"They are not compared with this run, since {why}."]
    machines = f"{run.machine.label}, and {other.machine.label}"
    return [*opening, f"Across these two machines ({machines}), {'; '.join(verdicts)}."] if verdicts else opening


def _at_batches(ours: Sequence[Cell], theirs: Sequence[Cell], device: str) -> list[str]:
    """The CPU of `ours` against the device of `theirs`, at batch 64 and at the largest batch common to both.

    With every feed of the device's steps: what an accelerator can do, and what it does with images that lie elsewhere.
    """
    texts = []
    feeds = step_feeds(theirs, device)
    for feed in feeds:
        common = {c.case.batch_size for c in ours if plain_step(ours, "cpu", c.case.batch_size)}
        common &= {c.case.batch_size for c in theirs if plain_step(theirs, device, c.case.batch_size, feed=feed)}
        for n, batch in enumerate(sorted({REFERENCE_BATCH, max(common)} & common) if common else []):
            cpu, accelerator = plain_step(ours, "cpu", batch), plain_step(theirs, device, batch, feed=feed)
            if cpu and accelerator:
                verdict = which_is_faster(times_as_fast(accelerator, cpu), name(device), name("cpu"))
                texts.append(f"{'' if n else fed_from(feed, feeds)}at batch {batch:,} {verdict}")
    return texts


def _variants(everything: Sequence[Cell]) -> list[str]:
    """Every single change of precision, compiler or optimizer at batch 64, against eager fp32 on the same device."""
    sentences = []
    for device in measured_devices(everything):
        plain = plain_step(everything, device, REFERENCE_BATCH)
        texts = []
        for axis in (axis.field for axis in AXES if axis.varies_step):
            for choice in dict.fromkeys(getattr(cell.case, axis) for cell in everything):
                cell = plain_step(everything, device, REFERENCE_BATCH, **{axis: choice})
                if plain and cell and cell is not plain:
                    texts.append(f"{name(choice)} {change(times_as_fast(cell, plain))}")
        if plain and plain.why_not_judged and texts:  # said once, not of every variant
            texts = [f"nothing is compared, since that step is flagged: {plain.flag_names}"]
        if texts:
            start = f"Against eager fp32 with plain Adam on {name(device)}, at batch {REFERENCE_BATCH}"
            sentences.append(f"{start}: {'; '.join(texts)}.")
    return sentences


def _feeds(everything: Sequence[Cell]) -> list[str]:
    epochs = [cell for cell in everything if cell.case.workload == "epoch" and cell.summary]
    sentences = []
    for cell in [cell for cell in epochs if cell.case.batch_size == REFERENCE_BATCH] or epochs:
        versus = cell.against_loader
        loader = next((other for other in everything if other.id == versus.baseline_id), None)
        if loader is None or loader is cell or not (loader.summary and cell.summary):
            continue
        start = f"On {name(cell.case.device)}, an epoch with {name('loader')}"
        both = f"{units.time(loader.summary)} against {units.time(cell.summary)}"
        other = f"one from {name(cell.case.feed)}"
        if versus.ratio is None:
            sentences.append(f"{start} and {other} take {both}; not compared ({versus.reason}).")
        elif not versus.ratio.clear:
            sentences.append(f"{start} takes no clearly different time than {other}: {both}.")
        else:
            sentences.append(f"{start} takes {units.times(versus.ratio, 'as long')} as {other}: {both}.")
    return sentences


def _cold_starts(everything: Sequence[Cell]) -> list[str]:
    """From nothing to the target, and what takes the most of it."""
    sentences = []
    for cell in everything:
        starts = cell.measurement.start_ups if cell.measurement else []
        total = median_of(starts, total_seconds)
        if total is None or not cell.measurement or not cell.measurement.accuracy:
            continue
        parts = {what: median_of(starts, get) or 0.0 for what, get in STAGES.items()}
        most = sorted(parts, key=lambda what: -parts[what])[:3]
        target = units.round_percent(cell.measurement.accuracy.target_fraction)
        mode = "" if cell.case.compiler == "off" else f" with {name(cell.case.compiler)}"
        listed = ", ".join(f"{units.duration(parts[what])} are {what}" for what in most)
        sentences.append(
            f"A fresh process reaches {target} on {name(cell.case.device)}{mode} after {units.duration(total)}, of "
            f"which {listed} (medians of {len(starts)})."
        )
    return sentences


def _accuracies(everything: Sequence[Cell]) -> list[str]:
    sentences = []
    for cell in everything:
        accuracy = cell.measurement.accuracy if cell.measurement else None
        if accuracy is None:
            continue
        mean, low, high = mean_interval(accuracy.test_accuracy_fraction)
        count, reached, target = len(accuracy.seeds), seconds_to_target(accuracy), accuracy.target_fraction
        bounds = "" if low is None or high is None else f" ({100 * low:.2f} to {units.percent(min(high, 1.0))})"
        epochs = f"{accuracy.epochs} {plural(accuracy.epochs, 'epoch')}"
        within = f"{units.round_percent(target)} within {accuracy.max_epochs} {plural(accuracy.max_epochs, 'epoch')}"
        tail = f", after a median of {units.duration(statistics.median(reached))} of training" if reached else ""
        sentences.append(
            f"Trained for {epochs} on {name(cell.case.device)} in {cell.case.precision}, {count} "
            f"{plural(count, 'seed')}: a mean test accuracy of {units.percent(mean)}{bounds}. "
            f"{len(reached)} of {count} reached {within}, tested along the way{tail}{flag_mark(cell, 'times flagged')}."
        )
    return sentences
