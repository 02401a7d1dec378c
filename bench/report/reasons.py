"""The sentences that say when: from where on a device or a mode is faster, and when compiling has paid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analyse.cell import UNCOMPILED, Cell
from bench.analyse.cells import curve, log_ratios, measured_devices, step_feeds
from bench.analyse.compare import mismatch
from bench.analyse.crossover import crossover
from bench.record.model import Record
from bench.report.words import REFERENCE_BATCH, capitalised, fed_from, name, plural


def crossovers(records: Sequence[Record], everything: Sequence[Cell], theirs: Sequence[Sequence[Cell]]) -> list[str]:
    """From which batch size on an accelerator is faster than the CPU, and a mode than eager fp32.

    Args:
        records: The run at hand, then those measured elsewhere.
        everything: The cells of the run at hand.
        theirs: Those of each record measured elsewhere, which are asked for an accelerator if the run has none.
    """
    sentences = [f"{capitalised(text)}." for text in _of_devices(everything, everything)]
    if not set(measured_devices(everything)) - {"cpu"}:
        for record, others in zip(records[1:], theirs, strict=True):
            if mismatch(records[0], record) is None:
                machines = f"Across two machines ({records[0].machine.label}, and {record.machine.label})"
                sentences += [f"{machines}, {text}." for text in _of_devices(everything, others)]
    return sentences + _of_modes(everything)


def _of_devices(ours: Sequence[Cell], theirs: Sequence[Cell]) -> list[str]:
    """The CPU of `ours` against every accelerator of `theirs`, with every feed of its steps."""
    first, texts = curve(ours, "cpu"), []
    for device in measured_devices(theirs):
        feeds = step_feeds(theirs, device) if device != "cpu" else []
        for feed in feeds:
            if crossing := crossover(log_ratios(first, curve(theirs, device, feed=feed))):
                texts.append(f"{fed_from(feed, feeds)}{crossing.sentence(name('cpu'), name(device))}")
    return texts


def _of_modes(everything: Sequence[Cell]) -> list[str]:
    """Every single change of precision or compiler that has three batch sizes, against eager fp32."""
    sentences = []
    for device in measured_devices(everything):
        plain = curve(everything, device)
        for axis in ("precision", "compiler"):
            for choice in dict.fromkeys(getattr(cell.case, axis) for cell in everything):
                if choice in ("fp32", "off"):
                    continue
                crossing = crossover(log_ratios(plain, curve(everything, device, **{axis: choice})))
                if crossing:
                    sentence = crossing.sentence("eager fp32", name(choice))
                    sentences.append(f"On {name(device)}, {sentence}.")
    return sentences


def compiling(record: Record, everything: Sequence[Cell]) -> list[str]:
    """When compiling a step has paid, at batch 64 or else at whatever batch sizes there are."""
    steps = [cell for cell in everything if cell.case.workload == "step" and cell.case.compiler not in UNCOMPILED]
    steps = [cell for cell in steps if cell.measurement]
    return [
        _compiled(record, cell)
        for cell in [cell for cell in steps if cell.case.batch_size == REFERENCE_BATCH] or steps
        if cell.payoff or cell.why_not_judged
    ]


def _compiled(record: Record, cell: Cell) -> str:
    case = cell.case
    what = f"On {name(case.device)} at batch {case.batch_size:,}, {name(case.compiler)} in {case.precision}"
    if cell.payoff is None:
        return f"{what} is not judged ({cell.why_no_payoff})."
    epochs = ""
    if steps := cell.payoff.steps:
        count = math.ceil(steps * case.batch_size / record.dataset.train_images)
        epochs = f", or {count:,} {plural(count, 'epoch')}"
    compilation = cell.measurement.compilation if cell.measurement else None
    breaks = ""
    if compilation and compilation.graph_break_reasons:
        breaks = (
            f" The model broke into {compilation.graphs} {plural(compilation.graphs, 'graph')}; the table says why."
        )
    return f"{what}: {cell.payoff.sentence()}{epochs}.{breaks}"
