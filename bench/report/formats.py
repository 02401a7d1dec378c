"""The sentences about number formats: whether the processor has them, and whether they cost accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.analyse.cell import Cell
from bench.analyse.statistics import mean_interval
from bench.record.measurement import Accuracy, CaseFields
from bench.record.model import Record
from bench.report.words import name, plural


def instructions(record: Record, everything: Sequence[Cell]) -> list[str]:
    """Whether the CPU computes in the number formats that were measured on it, or emulates them."""
    hardware = record.environment["hardware"]
    clauses = []
    for precision in dict.fromkeys(c.case.precision for c in everything if c.measurement and c.case.device == "cpu"):
        key = f"cpu_{precision}_instructions"
        if key in hardware:  # fp32 has no such fact
            known: dict[object, str] = {
                True: f"has {precision} instructions",
                False: f"has no {precision} instructions and emulates them",
            }
            clauses.append(known.get(hardware[key], f"does not tell whether it has {precision} instructions"))
    return [f"The CPU {'; it '.join(clauses)}."] if clauses else []


def accuracy_differences(everything: Sequence[Cell]) -> list[str]:
    """How the test accuracy in other number formats differs from fp32's, seed by seed."""
    by_case = {cell.case: accuracy for cell in everything if (accuracy := _accuracy(cell))}
    sentences = []
    for case, accuracy in by_case.items():
        plain = by_case.get(dataclasses.replace(case, precision="fp32"))
        if case.precision != "fp32" and plain and (plain.seeds, plain.epochs) == (accuracy.seeds, accuracy.epochs):
            sentences.append(_difference(case, accuracy, plain))
    return sentences


def _accuracy(cell: Cell) -> Accuracy | None:
    return cell.measurement.accuracy if cell.measurement else None


def _difference(case: CaseFields, accuracy: Accuracy, plain: Accuracy) -> str:
    pairs = zip(accuracy.test_accuracy_fraction, plain.test_accuracy_fraction, strict=True)
    mean, low, high = mean_interval([100 * (this - that) for this, that in pairs])
    count = len(accuracy.seeds)
    start = f"On {name(case.device)}, {case.precision} against fp32, seed by seed"
    if low is None or high is None:
        return f"{start}: {mean:+.2f} points of test accuracy ({count} {plural(count, 'seed')}, so no interval)."
    verdict = "no clear difference" if low <= 0 <= high else "more accurate" if mean > 0 else "less accurate"
    return f"{start}: {verdict}, {mean:+.2f} points of test accuracy ({low:+.2f} to {high:+.2f}, {count} seeds)."
