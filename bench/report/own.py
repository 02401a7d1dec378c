"""What a reader takes away of a run of a program of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analyse.cell import Cell
from bench.analyse.cells import measured_devices, program_cells, times_as_fast
from bench.record.model import Program
from bench.report import units
from bench.report.why import verdict
from bench.report.words import flag_mark, name, which_is_faster

# By what a program may have: what was not measured without it.
NEEDED = {
    "images_per_step": "images per second",
    "model": "the bytes of its parameters",
    "optimizer": "the bytes of its optimizer's state",
}


def subject(program: Program) -> str:
    """What was measured, and what was not, since the program does not have what it takes."""
    missing = lacking(program)
    gaps = f" It has {missing}." if missing else ""
    return f"Training steps of a program of your own, {program.file}, with its own images.{gaps}"


def lacking(program: Program) -> str:
    """`no images_per_step, so images per second are not known`, of all that it lacks; empty if it has everything."""
    missing = {name: what for name, what in NEEDED.items() if name in program.lacks}
    if "optimizer" not in missing:  # which has the parameters
        missing.pop("model", None)
    return "; ".join(f"no {name}, so {what} are not known" for name, what in missing.items())


def how_fast(program: Program, everything: Sequence[Cell]) -> str:
    """What a step took on every device, by batch size."""
    clauses = []
    for device in measured_devices(everything):
        took = [
            f"{units.measured(cell.summary)} at batch {cell.case.batch_size:,}{flag_mark(cell)}"
            for cell in program_cells(everything, device)
            if cell.summary
        ]
        if took:
            clauses.append(f"{_listed(took)} on {name(device)}")
    return f"In this run, a step of {Path(program.file).name} took {'; and '.join(clauses)}." if clauses else ""


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]


def why(everything: Sequence[Cell], named: str) -> str:
    """What takes the time of its largest batch that nothing speaks against, on every device."""
    trusted = [cell for cell in everything if not cell.why_not_judged]
    largest = [cells[-1] for device in measured_devices(trusted) if (cells := program_cells(trusted, device))]
    return " ".join(
        verdict(cell, f"a step of {named} at batch {cell.case.batch_size:,} on {name(cell.case.device)}")
        for cell in largest
        if cell.account
    )


def on_what(everything: Sequence[Cell]) -> str:
    """At which batch sizes which device is the faster one; empty where only one was measured."""
    cpu = {(cell.case.batch_size, cell.case.threads): cell for cell in program_cells(everything, "cpu")}
    verdicts = []
    for cell in program_cells(everything):
        beside = cpu.get((cell.case.batch_size, cell.case.threads))
        if beside and cell.case.device != "cpu":
            which = which_is_faster(times_as_fast(cell, beside), name(cell.case.device), name("cpu"))
            verdicts.append(f"at batch {cell.case.batch_size:,} {which}")
    return f"{verdicts[0][:1].upper()}{'; '.join(verdicts)[1:]}." if verdicts else ""


def batches(everything: Sequence[Cell]) -> str:
    """What a larger batch costs and gains, on every device."""
    sentences = []
    for device in measured_devices(everything):
        cells = [cell for cell in program_cells(everything, device) if not cell.why_not_judged]
        if len({cell.case.threads for cell in cells}) != 1 or len(cells) < 2:
            continue
        small, large = cells[0], cells[-1]
        ratio = times_as_fast(small, large).ratio
        if ratio is None:
            continue
        sentences.append(
            f"A batch of {large.case.batch_size:,} in place of {small.case.batch_size:,} takes "
            f"{units.times(ratio, 'as long')} on {name(device)}{_for_images(small, large)}."
        )
    return " ".join(sentences)


def _for_images(small: Cell, large: Cell) -> str:
    """How many more images the larger batch has, as the program says it."""
    few, many = (cell.measurement.images_per_repetition if cell.measurement else None for cell in (small, large))
    if few is None or many is None:
        return ""
    if few == many:
        return f", for as many images, {many:,}: the program takes no notice of batch_size"
    return f", for {many / few:,.4g} times as many images"
