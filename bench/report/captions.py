"""The words around tables and plots, the same on the page, in Markdown and on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analyse.cells import cells
from bench.axes.axis import AXES
from bench.record.model import Record
from bench.report import own, tables
from bench.report.columns import COLUMNS
from bench.report.tables import ViewTable
from bench.report.words import FLAGS, machine_and_day

TITLE = "How fast does this small network train?"
NETWORK = "A fully connected network (784-50-10, ReLU) that learns to read handwritten digits in one epoch."
PLOTS = {
    "accounts": "Overhead is what does not depend on the number of images: Python and the calls of operators. It is "
    "measured: the same step with next to nothing to compute. Bars that end with … are longer than the frame.",
    "steps": "Both axes are logarithmic. Whiskers: 95% interval of the time, often smaller than the mark.",
    "parts": "Time with its 95% interval. Each part is timed alone, so the parts need not add up to the step.",
    "epochs": "Time with its 95% interval.",
    "accuracy": "A dot per seed, after the last step; below, the mean with its 95% interval.",
}
# Said of a plot only where it has one.
FLAGGED = {"steps": "Hollow marks are flagged.", "parts": "Outlined bars are flagged.",
           "epochs": "Outlined bars are flagged."}  # fmt: skip
FED = {"accounts": "On a GPU, the images lie in its memory.", "steps": "On a GPU, the images lie in its memory, or are "
       "copied there from host memory."}  # fmt: skip
HOW_TO_READ = (
    ("Time", "what it takes undisturbed: the mean of the fastest quarter of the samples; of an epoch "
     "and a training, which have few, the mean. Others on the machine only ever add time. The median and the 95th "
     "percentile are in the table of every number."),
    ("95% interval", "where another run right after this one would find the time, in 95 of 100 cases, by how much the "
     "processes of this run differ. On another day the whole machine may be faster or slower by more; ratios then hold "
     "better than times. Two times are called different only if the interval of their ratio excludes 1; otherwise "
     "there is no clear difference."),
    ("Earlier runs", "how many runs this machine had made before, and the lowest and highest time that they saw. - is "
     "the first run."),
    ("Sample", "one timed block of as many repetitions as fill 6 ms, taken when it was the case's turn in a round. "
     "All are kept; outliers are counted, never dropped."),
    ("Round", "every case once, in an order of chance, in one process. A ratio is of samples of the same rounds."),
    ("× eager fp32 CPU", "how many times as fast as the same work on the CPU of the same machine, with 32-bit floats, "
     "without torch.compile, with plain Adam. Above 1 is faster."),
    ("× roofline", "how many times the roofline bound: the least time for the arithmetic at this machine's peak in the "
     "case's own number format, for the bytes at its bandwidth or, on a GPU, for the launch of each step, whichever is "
     "more. All of these were measured in this run. 1 is as fast as this machine can be."),
    ("Overhead", "what does not depend on any size: Python, dispatch, autograd, the optimizer's loop, kernel launches. "
     "It is the time of the same step on one image with two hidden units, which calls the same operators and computes "
     "next to nothing, measured in turns with the step itself; for a program of your own, of its step on one image or "
     "two."),
    ("Overhead-bound", "overhead takes more than anything else; launch-bound: on a GPU, which waits for the host."),
    ("Calls of operators", "of torch's library ATen: a matrix product, an addition, a copy is one each."),
    ("Matrix products, other operators", "what a step takes beyond that is divided by a profile of both: the operators "
     "that take more time in the step. Other operators mostly move bytes: activations, the loss, the update. The time "
     "of an epoch, but for its waiting for data, is divided like that of the same step alone. On a GPU, it is the time "
     "of its kernels; a copy from memory that is not pinned counts for as long as the host waits for it."),
    ("Unexplained", "what is left of the time, in no operator. Below 0%, the others overlap."),
    ("Measured to help", "the one change, of those measured in the same rounds, that makes it the fastest. - is: none "
     "was measured."),
    ("Sum ÷ unmarked", "parts are timed in blocks with marks, which alternate with blocks without; 100% means that the "
     "marks changed nothing and the parts are the whole."),
    ("Flag", "a named reason not to trust a number. It is shown, but takes part in no comparison."),
    ("-", "there is no number, which is not zero. The row says why."),
    ("Measure it again", "every number has its command, in the list at the end."),
)  # fmt: skip


def how_to_read(records: Sequence[Record]) -> list[tuple[str, str]]:
    """The words of these reports, each with what it means; of columns and of choices, those that a table has."""
    of_each = [tables.table(record, view) for record in records for view in tables.VIEWS]
    shown = {column.heading for table in of_each if table for column in table.columns}
    missing = {column.heading for column in COLUMNS} - shown
    return [(term, text) for term, text in (*HOW_TO_READ, *_choices(records)) if term not in missing]


def _choices(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Of every axis, what the choices that were measured mean; the workloads have said it in their tables."""
    measured = [measurement.case for record in records for measurement in record.measurements]
    for axis in AXES:
        rows = axis.rows if axis.rows and axis.field != "workload" else {}
        used = {getattr(case, axis.field) for case in measured}
        meanings = [(name, getattr(row, "meaning", "")) for name, row in rows.items() if name in used]
        if any(meaning for _, meaning in meanings):
            yield axis.heading, "; ".join(f"{name} is {meaning}" for name, meaning in meanings if meaning) + "."


def title(record: Record) -> str:
    """What a report is about, as a question."""
    return f"How fast does {Path(record.program.file).name} train?" if record.program else TITLE


def subject(record: Record) -> str:
    """What was measured."""
    return own.subject(record.program) if record.program else NETWORK


def place(records: Sequence[Record], record: Record) -> str:
    """Whether the record is the run at hand; empty if there is no other."""
    if len(records) == 1:
        return ""
    return "This run" if record is records[0] else "Measured elsewhere"


def caption(records: Sequence[Record], table: ViewTable) -> str:
    """Where, when and on which images the numbers of a table were taken, and what all its rows share."""
    # Of one record, the page's head has said it.
    where = [machine_and_day(table.record), table.record.dataset.label] if len(records) > 1 else []
    facts = [place(records, table.record), *where, table.agreed]
    return " · ".join(fact for fact in facts if fact)


def key(records: Sequence[Record]) -> str:
    """Which machine is `here` and which `elsewhere` in the plots; empty if there is only one."""
    if len(records) == 1:
        return ""
    names = ["here", *(["elsewhere"] if len(records) == 2 else [f"elsewhere {n}" for n in range(1, len(records))])]
    return "; ".join(f"{name}: {machine_and_day(record)}" for name, record in zip(names, records, strict=True)) + "."


def plot_caption(records: Sequence[Record], name: str) -> str:
    """What a plot shows and on which images."""
    labels = " / ".join(dict.fromkeys(record.dataset.label for record in records)) if len(records) > 1 else ""
    everything = [cell for record in records for cell in cells(record)]
    flagged = FLAGGED.get(name, "") if any(cell.flags for cell in everything) else ""
    fed = FED.get(name, "") if any(cell.case.feed == "device" and cell.measurement for cell in everything) else ""
    parts = (PLOTS[name], fed, flagged, f"{labels}." if labels else "", key(records))
    return " ".join(part for part in parts if part)


def flags(records: Sequence[Record]) -> list[tuple[str, str]]:
    """The flags that occur, each with what it means."""
    remarks = [flag for record in records for cell in cells(record) for flag in cell.remarks]
    return [(flag.name, FLAGS.get(flag.name, flag.reason)) for flag in {flag.name: flag for flag in remarks}.values()]
