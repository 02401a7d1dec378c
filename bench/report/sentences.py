"""The summary in plain sentences, built only from what the records hold.

A difference is claimed only where the ratio's interval excludes 1, and never of flagged cells.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse.cells import Cell, Versus, cells, times_as_fast
from bench.analyse.compare import mismatch
from bench.analyse.statistics import mean_interval
from bench.record.model import CaseFields, Record
from bench.report import units
from bench.report.columns import seconds_to_target

# How each choice is named in a sentence; a choice without a row is called by its own name.
NAMES = {
    "cpu": "the CPU", "cuda": "the GPU", "mps": "the Apple GPU", "xpu": "the Intel GPU",
    "default": "torch.compile", "reduce-overhead": "torch.compile (reduce-overhead)",
    "max-autotune": "torch.compile (max-autotune)", "adam": "plain Adam", "foreach": "foreach Adam", "fused": "fused Adam",
    "loader": "the tutorial's DataLoader", "resident": "tensors in host memory", "device": "tensors in device memory",
}  # fmt: skip
REFERENCE_BATCH = 64


@dataclass(frozen=True)
class Finding:
    """What was found, in sentences, about a topic of one or two words."""

    topic: str
    text: str


def findings(records: Sequence[Record]) -> list[Finding]:
    """The summary of `records[0]`, the run at hand; the others were measured elsewhere."""
    run, everything = records[0], cells(records[0])
    texts = [
        ("Measured", _measured(run, everything)),
        ("Training step", _reference_step(everything)),
        ("CPU or GPU", _devices(records, everything)),
        ("Variants", _variants(everything)),
        ("Data feed", _feeds(everything)),
        ("Accuracy", _accuracy(everything)),
    ]
    return [Finding(topic, " ".join(sentences)) for topic, sentences in texts if sentences]


def name(choice: str) -> str:
    """A choice of an axis as it is called in a sentence."""
    return NAMES.get(choice, choice)


def capitalised(text: str) -> str:
    """The text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def warnings(record: Record) -> list[str]:
    """What must be said before anything else: an interrupted run, stand-in images."""
    found = []
    if record.partial:
        left = sum(gap.kind == "interrupted" for gap in record.unmeasured)
        found.append(
            "This run was interrupted. What it measured by then is complete and valid; "
            f"{left} planned {_plural(left, 'case')} had no turn."
        )
    if reason := record.dataset.fallback_reason:
        found.append(
            f"Not the real dataset: {reason}. The images are {record.dataset.label}. Epoch times and accuracy "
            "are of these images, and are not comparable with those of the full dataset."
        )
    return found


def machine_and_day(record: Record) -> str:
    """Where and when a record was measured."""
    return f"{record.machine.label}, {units.day(record.created_utc)}"


def version(record: Record) -> str:
    """The commit that was measured."""
    if record.commit is None:
        return "unknown commit"
    return f"commit {record.commit.id[:8]}{' with uncommitted changes' if record.commit.dirty else ''}"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _measured(record: Record, everything: Sequence[Cell]) -> list[str]:
    count, flagged = len(record.measurements), sum(bool(cell.flags) for cell in everything)
    missing = len(record.unmeasured)
    found = [
        f"{count} {_plural(count, 'case')} in {units.duration(record.duration_seconds)} on "
        f"{machine_and_day(record)}, with {record.dataset.label}."
    ]
    if flagged:
        found.append(f"{flagged} {'is' if flagged == 1 else 'are'} flagged, and so shown but compared with nothing.")
    if missing:
        found.append(f"{missing} more planned {_plural(missing, 'case')} could not be measured; the tables say why.")
    return found


def plain_step(everything: Sequence[Cell], device: str, batch: int = REFERENCE_BATCH, **axes: str) -> Cell | None:
    """The measured eager fp32 step with plain Adam on a device, or the one that differs from it by `axes`."""
    wanted = {"workload": "step", "device": device, "batch_size": batch, "precision": "fp32"}
    wanted |= {"compiler": "off", "optimizer": "adam", "feed": "resident", **axes}
    return next((cell for cell in everything if cell.measurement and _has(cell.case, wanted)), None)


def _has(case: CaseFields, wanted: dict[str, object]) -> bool:
    return all(getattr(case, axis) == value for axis, value in wanted.items())


def _not_compared(cell: Cell) -> str:
    return f" (flagged: {cell.flag_names})" if cell.flags else ""


def measured_devices(everything: Sequence[Cell]) -> list[str]:
    """The devices with at least one number, in the run's order."""
    return list(dict.fromkeys(cell.case.device for cell in everything if cell.measurement))


def _reference_step(everything: Sequence[Cell]) -> list[str]:
    found = []
    for device in measured_devices(everything):
        cell = plain_step(everything, device)
        if cell and cell.summary and cell.images_per_second:
            found.append(
                f"A step of {REFERENCE_BATCH} images in fp32 takes {units.measured(cell.summary)} on {name(device)}, "
                f"or {units.rate(cell.images_per_second)} images a second{_not_compared(cell)}."
            )
    return found


def _devices(records: Sequence[Record], everything: Sequence[Cell]) -> list[str]:
    devices = measured_devices(everything)
    accelerators = [device for device in devices if device != "cpu"]
    if accelerators:
        if "cpu" not in devices:
            return []
        return [text for device in accelerators for text in _at_batches(everything, everything, device)]
    missing = next((gap.reason for gap in records[0].unmeasured if gap.case.device != "cpu"), None)
    found = [f"No GPU was measured in this run{f': {missing}' if missing else ''}."]
    elsewhere = [(other, cells(other)) for other in records[1:]]
    with_gpu = [(r, c, d) for r, c in elsewhere for d in measured_devices(c) if d != "cpu"]
    if not with_gpu:
        return [*found, "No GPU record has been promoted yet, so this report shows no GPU figures."]
    for other, their_cells, device in with_gpu:
        found.append(f"The GPU figures shown were measured elsewhere: {machine_and_day(other)}.")
        if why := mismatch(records[0], other):
            found.append(f"They are not compared with this run: {why}.")
        elif texts := _at_batches(everything, their_cells, device):
            found += [f"Across the two machines ({records[0].machine.label}; {other.machine.label}):", *texts]
    return found


def _at_batches(ours: Sequence[Cell], theirs: Sequence[Cell], device: str) -> list[str]:
    """The CPU of `ours` against the device of `theirs`, at batch 64 and at the largest batch common to both."""
    common = {c.case.batch_size for c in ours if plain_step(ours, "cpu", c.case.batch_size)}
    common &= {c.case.batch_size for c in theirs if plain_step(theirs, device, c.case.batch_size)}
    texts = []
    for batch in sorted({REFERENCE_BATCH, max(common)} & common) if common else []:
        cpu, accelerator = plain_step(ours, "cpu", batch), plain_step(theirs, device, batch)
        if cpu and accelerator:
            verdict = _faster(times_as_fast(accelerator, cpu), name(device), "the CPU")
            texts.append(f"At batch {batch:,}, {verdict}.")
    return texts


def _faster(versus: Versus, this: str, other: str) -> str:
    """Which of two is the faster, `versus` being how many times as fast `this` is as `other`."""
    if versus.ratio is None:
        return f"{this} and {other} are not compared ({versus.reason})"
    if not versus.ratio.clear:
        return f"there is no clear difference between {this} and {other}"
    if versus.ratio.value > 1:
        return f"{this} is the faster: a step on {other} takes {units.times(versus.ratio)} as long"
    return f"{other} is the faster: a step on {this} takes {units.times(units.inverse(versus.ratio))} as long"


def _variants(everything: Sequence[Cell]) -> list[str]:
    """Every single change of precision, compiler or optimizer at batch 64, against eager fp32 on the same device."""
    found = []
    for device in measured_devices(everything):
        plain = plain_step(everything, device)
        texts = []
        for axis in ("precision", "compiler", "optimizer"):
            for choice in dict.fromkeys(getattr(cell.case, axis) for cell in everything):
                cell = plain_step(everything, device, **{axis: choice})
                if plain and cell and cell is not plain:
                    texts.append(f"{name(choice)} {_change(times_as_fast(cell, plain))}")
        if texts:
            start = f"Against eager fp32 with plain Adam on {name(device)}, at batch {REFERENCE_BATCH}"
            found.append(f"{start}: {'; '.join(texts)}.")
    return found


def _change(versus: Versus) -> str:
    if versus.ratio is None:
        return f"is not compared ({versus.reason})"
    if not versus.ratio.clear:
        return "makes no clear difference"
    if versus.ratio.value > 1:
        return f"is faster, {units.times(versus.ratio)}"
    return f"is slower, {units.times(units.inverse(versus.ratio))}"


def _feeds(everything: Sequence[Cell]) -> list[str]:
    found = []
    for cell in everything:
        if cell.case.workload != "epoch" or cell.case.feed == "loader" or cell.summary is None:
            continue
        loader = next((other for other in everything if other.id == cell.against_loader.baseline_id), None)
        if loader is None or loader.summary is None:
            continue
        versus, feed, device = cell.against_loader, name(cell.case.feed), name(cell.case.device)
        both = f"{units.median(loader.summary)} against {units.median(cell.summary)}"
        if versus.ratio is None:
            verdict = f"not compared, {versus.reason}"
        elif not versus.ratio.clear:
            verdict = "no clear difference"
        elif versus.ratio.value > 1:
            verdict = f"{units.times(versus.ratio)} as long"
        else:
            verdict = f"the DataLoader is faster, {units.times(units.inverse(versus.ratio))}"
        found.append(f"On {device} an epoch takes {both} with {name('loader')} and {feed}: {verdict}.")
    return found


def _accuracy(everything: Sequence[Cell]) -> list[str]:
    found = []
    for cell in everything:
        accuracy = cell.measurement.accuracy if cell.measurement else None
        if accuracy is None:
            continue
        mean, low, high = mean_interval(accuracy.test_accuracy_fraction)
        count, reached, target = len(accuracy.seeds), seconds_to_target(accuracy), accuracy.target_fraction
        bounds = "" if low is None or high is None else f" ({100 * low:.2f} to {units.percent(high)})"
        epochs = f"{accuracy.epochs} {_plural(accuracy.epochs, 'epoch')}"
        within = f"{units.round_percent(target)} within {accuracy.max_epochs} epochs"
        tail = f", after a median of {units.duration(statistics.median(reached))} of training" if reached else ""
        found.append(
            f"Trained for {epochs} on {name(cell.case.device)} in {cell.case.precision}, from {count} "
            f"{_plural(count, 'seed')}: a mean test accuracy of {units.percent(mean)}{bounds}; "
            f"{len(reached)} of {count} reached {within}{tail}{_not_compared(cell)}."
        )
    return found
