"""What a reader takes away: how fast it is and on what, and the few findings that matter, each with its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analyse.cell import UNCOMPILED, Cell
from bench.analyse.cells import cells, measured_devices, plain_step, step_feeds, times_as_fast
from bench.analyse.gains import Gain
from bench.analyse.statistics import mean_interval
from bench.axes.axis import AXES, hyperparameters, is_plain
from bench.axes.optimizers import OPTIMIZERS
from bench.record.model import Record
from bench.report import own, units
from bench.report.reasons import crossovers
from bench.report.why import verdict
from bench.report.words import REFERENCE_BATCH, fed, flag_mark, name, plural, which_is_faster


def answer(record: Record) -> list[str]:
    """How fast this run was, and whether CPU or GPU, in two sentences."""
    everything = cells(record)
    fast = own.how_fast(record.program, everything) if record.program else _how_fast(everything)
    return [text for text in (fast, _on_what(record, everything)) if text]


def _how_fast(everything: Sequence[Cell]) -> str:
    steps = [(d, cell) for d in measured_devices(everything) if (cell := plain_step(everything, d, REFERENCE_BATCH))]
    took = [
        f"{units.measured(c.summary)} on {name(d)}{fed(c.case.feed, step_feeds(everything, d))}{flag_mark(c)}"
        for d, c in steps
        if c.summary
    ]
    what = f"a training step of {REFERENCE_BATCH} images took, undisturbed,"
    facts = [f"{what} {' and '.join(took)}"] if took else []
    epochs = [c for c in everything if c.case.workload == "epoch" and c.summary and not c.why_not_judged]
    epochs = [cell for cell in epochs if cell.case.batch_size == REFERENCE_BATCH]
    if epochs:
        quickest = min(epochs, key=lambda cell: cell.summary.time if cell.summary else 0.0)
        assert quickest.summary is not None
        case = quickest.case
        loader = plain_step(everything, case.device, REFERENCE_BATCH, workload="epoch", feed="loader")
        slow = ""
        if loader and loader.summary and loader is not quickest:
            slow = f"{units.measured(loader.summary)} with {name('loader')} and "
        facts.append(f"an epoch {slow}{units.measured(quickest.summary)} with {name(case.feed)} on {name(case.device)}")
    accuracies = [a for cell in everything if cell.measurement and (a := cell.measurement.accuracy)]
    learnt = ""
    if accuracies:
        mean, low, high = mean_interval(accuracies[0].test_accuracy_fraction)
        bounds = "" if low is None or high is None else f" ({100 * low:.1f} to {units.percent(min(high, 1.0), 1)})"
        trained = f"{accuracies[0].epochs} {plural(accuracies[0].epochs, 'epoch')}"
        learnt = f"; after {trained}, {units.percent(mean, 1)}{bounds} of the test images are read right"
    return f"In this run, {', and '.join(facts)}{learnt}." if facts else ""


def _on_what(record: Record, everything: Sequence[Cell]) -> str:
    accelerators = [device for device in measured_devices(everything) if device != "cpu"]
    if not accelerators:
        missing = next((gap.reason for gap in record.unmeasured if gap.case.device != "cpu"), None)
        unknown = f"Whether a GPU would be faster, this run cannot tell: {missing or 'none was asked for'}."
        if record.program:
            command = "the same command" if missing else "it with --device cuda"
            return f"{unknown} Run {command} on a machine that has one."
        return (
            f"{unknown} Run fcnn-bench on a machine that has one, then show both: fcnn-bench report HERE/record.json "
            "THERE/record.json."
        )
    if record.program:
        return own.on_what(everything)
    cpu = plain_step(everything, "cpu", REFERENCE_BATCH)
    verdicts: list[str] = []
    said = ""
    for device in accelerators:
        feeds = step_feeds(everything, device)
        for feed in feeds:
            gpu = plain_step(everything, device, REFERENCE_BATCH, feed=feed)
            if cpu and gpu:
                verdict = which_is_faster(times_as_fast(gpu, cpu), name(device), name("cpu"))
                which, _, times = verdict.partition(" takes ")
                verdicts.append(f"{times if times and which == said else verdict}{fed(feed, feeds)}")
                said = which
    if not verdicts:
        return ""
    at_once = f"At batch {REFERENCE_BATCH} {'; '.join(verdicts)}."
    return " ".join([at_once, *crossovers([record], everything, [])[:1], *_faster_yet(everything, accelerators)])


def _faster_yet(everything: Sequence[Cell], accelerators: Sequence[str]) -> Iterator[str]:
    """What makes an accelerator the faster at the reference's batch, where it is not so already."""
    for device in accelerators:
        steps = [c for c in _reference_steps(everything) if c.case.device == device and c.speedup.ratio]
        ahead = [cell for cell in steps if (r := cell.speedup.ratio) and r.clear and r.value > 1]
        best = max(ahead, key=lambda cell: cell.speedup.ratio.value if cell.speedup.ratio else 0.0, default=None)
        if best is None or any(is_plain(cell.case) for cell in ahead):
            continue
        changed, ratio = ", ".join(_changed(best)), best.speedup.ratio
        assert ratio is not None
        yield (
            f"With {changed}, {name(device)} overtakes the plain step on {name('cpu')} at batch {REFERENCE_BATCH}: "
            f"{units.times(ratio, 'as fast')}."
        )


def headlines(record: Record) -> list[tuple[str, str]]:
    """The findings that matter, a topic and a sentence each."""
    everything = cells(record)
    if record.program:
        named = Path(record.program.file).name
        texts = [("Why", own.why(everything, named)), ("Batch size", own.batches(everything))]
        return [(topic, text) for topic, text in texts if text]
    loading = _loading(everything)
    findings = [
        ("Why", _why(everything)),
        ("Change first", loading),
        ("Then" if loading else "Change first", _fastest(everything)),
        ("torch.compile", _compiling(everything)),
        ("Number formats", " ".join(_formats(everything))),
    ]
    return [(topic, text) for topic, text in findings if text]


def _why(everything: Sequence[Cell]) -> str:
    """What takes the time of the plain step, on every device."""
    steps = [(d, plain_step(everything, d, REFERENCE_BATCH)) for d in measured_devices(everything)]
    known = [(device, cell) for device, cell in steps if cell and cell.account]
    return " ".join(
        verdict(
            cell,
            f"{'One' if n else f'a step of {REFERENCE_BATCH} images'} on {name(device)}"
            f"{fed(cell.case.feed, step_feeds(everything, device))}",
        )
        for n, (device, cell) in enumerate(known)
    )


def _reference_steps(everything: Sequence[Cell]) -> list[Cell]:
    """All steps of the reference's batch and sizes that can be compared."""
    steps = [c for c in everything if c.case.workload == "step" and c.case.batch_size == REFERENCE_BATCH]
    return [cell for cell in steps if not cell.why_not_judged and not hyperparameters(cell.case)]


def _changed(best: Cell) -> list[str]:
    """What a step has in place of the reference's choices, in words."""
    chosen = [(str(getattr(best.case, axis.field)), axis) for axis in AXES if axis.varies_step]
    return [name(choice) for choice, axis in chosen if choice != str(axis.default)]


def _fastest(everything: Sequence[Cell]) -> str:
    """The fastest step of the reference's batch, against the reference's own choices on the same device."""
    steps = _reference_steps(everything)
    if not steps:
        return ""
    best = min(steps, key=lambda cell: cell.summary.time if cell.summary else float("inf"))
    plain = plain_step(everything, best.case.device, REFERENCE_BATCH)
    if best.summary is None or plain is None:
        return ""
    took = f"{units.measured(best.summary)} on {name(best.case.device)}"
    if best.case == plain.case:
        return f"nothing that was tried makes a step of {REFERENCE_BATCH} images faster than the plain one, {took}."
    how = ", ".join(_changed(best)) or name(best.case.feed)
    options = OPTIMIZERS[best.case.optimizer].options if best.case.optimizer in OPTIMIZERS else {}
    code = (
        f" (torch.optim.Adam(..., {', '.join(f'{key}={value}' for key, value in options.items())}))" if options else ""
    )
    ratio = times_as_fast(best, plain).ratio
    than = f", {units.times(ratio, 'as fast')} as the plain step there" if ratio else ""
    return f"a step of {REFERENCE_BATCH} images is fastest with {how}{code}: {took}{than}."


def _compiling(everything: Sequence[Cell]) -> str:
    compiled = [
        c for c in everything if c.case.compiler not in UNCOMPILED and c.case.workload == "step" and c.measurement
    ]
    judged = [cell for cell in compiled if cell.against_eager.ratio]
    if not judged:
        return "" if compiled else "not measured in this run. With and without it: fcnn-bench run --compile off default"
    best = max(judged, key=lambda cell: cell.against_eager.ratio.value if cell.against_eager.ratio else 0.0)
    ratio, case = best.against_eager.ratio, best.case
    assert ratio is not None
    where = f"a step of {case.batch_size:,} images on {name(case.device)}"
    cost = best.measurement.compilation.cold_seconds if best.measurement and best.measurement.compilation else None
    price = f" and takes {units.duration(cost)} once" if cost else ""
    pays = f", which pays after {best.payoff.in_words()} steps" if best.payoff and best.payoff.steps else ""
    if not ratio.clear:
        return f"it makes no clear difference to {where}{price}: {units.times(ratio, 'as fast')}."
    return f"it makes {where} {units.times(ratio, 'as fast') if ratio.value > 1 else units.slower(ratio)}{price}{pays}."


def _formats(everything: Sequence[Cell]) -> Iterator[str]:
    """What every other number format does to the plain steps, at the smallest and at the largest batch measured."""
    for device in measured_devices(everything):
        for choice in dict.fromkeys(cell.case.precision for cell in everything if cell.measurement):
            steps = [c for c in everything if (c.case.device, c.case.workload) == (device, "step") and is_plain(c.case)]
            steps.sort(key=lambda cell: cell.case.batch_size)
            gains = [(c, g) for c in steps for g in c.gains if (g.field, g.choice) == ("precision", choice)]
            chosen = gains if len(gains) < 3 else [gains[0], gains[-1]]
            if chosen and choice != "fp32":
                at: dict[str, list[str]] = {}
                for cell, gain in chosen:
                    at.setdefault(_effect(gain), []).append(f"{cell.case.batch_size:,}")
                texts = [f"{effect} at batch {' and '.join(sizes)}" for effect, sizes in at.items()]
                yield f"On {name(device)}, {name(str(choice))} is {' and '.join(texts)}."


def _effect(gain: Gain) -> str:
    if not gain.ratio.clear:
        return "not clearly faster or slower"
    return units.times(gain.ratio, "as fast") if gain.ratio.value > 1 else units.slower(gain.ratio)


def _loading(everything: Sequence[Cell]) -> str:
    epochs = [cell for cell in everything if cell.against_loader.ratio and cell.case.feed != "loader"]
    epochs = [cell for cell in epochs if is_plain(cell.case)]
    if not epochs:
        return ""
    best = max(epochs, key=lambda cell: cell.against_loader.ratio.value if cell.against_loader.ratio else 0.0)
    ratio = best.against_loader.ratio
    if ratio is None or not ratio.clear or ratio.value < 1:
        return ""
    loader = next((cell for cell in everything if cell.id == best.against_loader.baseline_id), None)
    took = ""
    if loader and loader.summary and best.summary:
        took = f"{units.time(best.summary)} in place of {units.time(loader.summary)}, "
    waits = ""
    if loader and loader.account:
        waits = f", which spends {100 * loader.account.share('data'):.0f}% of its time waiting for batches"
    return (
        f"decode the images once, dataset.data.float() / 255, and take batches by index from {name(best.case.feed)}: "
        f"an epoch on {name(best.case.device)} takes {took}{units.times(ratio, 'as fast')} as with "
        f"{name('loader')}{waits}."
    )
