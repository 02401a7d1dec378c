"""The ladder for people: a table, a picture, and what it comes to in sentences."""

from __future__ import annotations

import html
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.ticker import FuncFormatter
from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from bench.analyse.statistics import Summary, summarise
from bench.report import drawing, units, words


@dataclass(frozen=True)
class Step:
    """What came of a row.

    Attributes:
        seconds: Epochs, each of a fresh training, one a round; empty where it could not be climbed, with the `reason`.
        cold_seconds: The first epoch of a fresh process, with all that it prepares and compiles.
        accuracy_p: The probability of a mean accuracy so far from the reference's, were they of one distribution.
        lines: Lines of its function that the one before does not have; None for the first and for peers.
    """

    name: str
    removed: str
    lines: int | None
    is_peer: bool
    seconds: list[float] = field(default_factory=list)
    cold_seconds: float | None = None
    test_accuracy_fraction: list[float] = field(default_factory=list)
    accuracy_p: float | None = None
    reason: str | None = None

    @property
    def summary(self) -> Summary | None:
        """Seconds an epoch."""
        return summarise(self.seconds) if self.seconds else None

    @property
    def median(self) -> float | None:
        """Seconds an epoch."""
        return self.summary.median if self.summary else None

    def times(self, other: Step) -> float | None:
        """How many times as long as this the other takes: the median over the rounds that both were in."""
        rounds = [theirs / ours for ours, theirs in zip(self.seconds, other.seconds, strict=False)]
        return statistics.median(rounds) if rounds else None


@dataclass(frozen=True)
class Ladder:
    """All rows and the floor of a device, of one run on one machine."""

    device: str
    machine: str
    dataset: str
    torch: str
    floor_seconds: float
    steps: list[Step]

    @property
    def first(self) -> Step:
        """The tutorial."""
        return self.steps[0]

    @property
    def judged(self) -> bool:
        """Whether there is a reference distribution of accuracies for these images."""
        return any(step.accuracy_p is not None for step in self.steps)

    @property
    def best(self) -> Step:
        """The fastest rung whose accuracy is the tutorial's, if that could be judged; peers are no rungs."""
        fit = [
            step
            for step in self.steps
            if step.seconds and not step.is_peer and (same_accuracy(step) or not self.judged)
        ]
        return min(fit or [self.first], key=lambda step: step.median or float("inf"))


def same_accuracy(step: Step) -> bool:
    """Whether the accuracies may be of the reference's distribution; what is not known does not pass."""
    return step.accuracy_p is not None and step.accuracy_p > 0.001


HEADINGS = [
    "Rung",
    "s an epoch",
    "× tutorial",
    "× floor",
    "From cold",
    "Accuracy",
    "95% interval",
    "Lines",
    "What it removes",
]


CAPTION = "Seconds an epoch, a bar a rung"
NARROW = 6  # columns on the terminal


def rows(ladder: Ladder) -> list[list[str]]:
    """The table's text."""
    return [_row(ladder, step) for step in ladder.steps]


def _row(ladder: Ladder, step: Step) -> list[str]:
    lines = units.MISSING if step.lines is None else str(step.lines)
    times, summary = step.times(ladder.first), step.summary
    if summary is None:
        return [step.name, *[units.MISSING] * 6, lines, f"{step.removed} (not here: {step.reason})"]
    accuracy = units.percent(statistics.fmean(step.test_accuracy_fraction))
    return [
        step.name,
        units.median(summary),
        f"{times:,.1f}" if times else units.MISSING,
        f"{summary.median / ladder.floor_seconds:,.1f}",
        units.MISSING if step.cold_seconds is None else units.duration(step.cold_seconds),
        accuracy if same_accuracy(step) else f"{accuracy} ({'not judged' if step.accuracy_p is None else 'another'})",
        units.interval(summary),
        lines,
        step.removed,
    ]


def sentences(ladder: Ladder) -> list[str]:
    """What the best rung is worth, against the tutorial, the floor and the peers."""
    best = ladder.best
    times = best.times(ladder.first)
    if best.median is None or times is None:
        return ["Nothing was measured that could be compared."]
    found = [
        f"The best rung, {best.name}, takes {units.duration(best.median)} an epoch: {times:,.1f} times as fast as the "
        f"tutorial and {best.median / ladder.floor_seconds:.1f} times the floor of "
        f"{units.duration(ladder.floor_seconds)}."
    ]
    for peer in (step for step in ladder.steps if step.is_peer):
        if (times := best.times(peer)) is None or peer.median is None:
            continue
        found.append(
            f"It is {times:.1f} times as fast as {peer.name} ({units.duration(peer.median)}); from cold, "
            f"{units.duration(best.cold_seconds or 0)} against {units.duration(peer.cold_seconds or 0)}."
        )
    if not ladder.judged:
        found.append("No accuracy was judged: there is no reference for these images.")
    if best.median < ladder.floor_seconds and ladder.device == "cpu":
        found.append("The floor counts products with black pixels, which it skips.")
    return found


def heading(ladder: Ladder) -> str:
    """The device and its model: `On the CPU: AMD EPYC, 2 cores`."""
    return f"On {words.name(ladder.device)}: {ladder.machine}"


def show(ladder: Ladder, console: Console) -> None:
    """Prints the sentences and the table; what has no number below it, with its reason."""
    console.print(f"\n{heading(ladder)}", markup=False)
    for sentence in sentences(ladder):
        console.print(sentence, markup=False)
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, title in enumerate(HEADINGS[:NARROW]):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for step, row in zip(ladder.steps, rows(ladder), strict=True):
        if step.median is not None:
            table.add_row(*row[:NARROW])
    console.print(table)
    for step in ladder.steps:
        if step.reason:
            console.print(f"{step.name}: {step.reason}", markup=False)


def markdown(ladders: Sequence[Ladder]) -> str:
    """ladder.md: a chapter a device."""
    first = ladders[0]
    return "\n".join(
        [
            "# The ladder: from the tutorial to the floor",
            "",
            f"The same network on the same images to the same accuracy, one change a rung. torch {first.torch}, with "
            f"{first.dataset}. Medians over epochs of fresh trainings, each from another seed. The rungs take turns, "
            "and how many times as fast one is as another is the median over rounds. Lines are those of a rung's code "
            "that the one before it does not have.",
            *(line for ladder in ladders for line in _chapter(ladder)),
            "",
        ]
    )


def _chapter(ladder: Ladder) -> list[str]:
    alignment = ["left" if number in (0, len(HEADINGS) - 1) else "right" for number in range(len(HEADINGS))]
    table = tabulate(rows(ladder), headers=HEADINGS, tablefmt="github", colalign=alignment, disable_numparse=True)
    picture = f"![{CAPTION}]({picture_file(ladder)})"
    return ["", f"## {heading(ladder)}", "", *sentences(ladder), "", picture, "", table]


def picture_file(ladder: Ladder) -> str:
    """The name of a device's picture."""
    return f"ladder-{ladder.device}.svg"


def picture(ladder: Ladder) -> str:
    """A bar a rung, seconds on a logarithmic axis, the floor as a line."""
    climbed = [step for step in ladder.steps if step.median is not None]
    with drawing.rc():
        figure, axes = drawing.figure(0.42 * len(climbed) + 1.0)
        places = range(len(climbed), 0, -1)
        medians: list[Any] = [step.median for step in climbed]
        colours = [drawing.SERIES[1] if step.is_peer else drawing.SERIES[0] for step in climbed]
        axes.barh(list(places), medians, color=colours, height=0.62)
        for place, median in zip(places, medians, strict=True):
            axes.annotate(units.duration(median), (median, place), (4, 0), textcoords="offset points", va="center")
        axes.axvline(ladder.floor_seconds, color=drawing.INK, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate("floor", (ladder.floor_seconds, len(climbed) + 0.55), ha="center", color=drawing.SOFT)
        axes.set_ylim(0.4, len(climbed) + 0.95)
        axes.set_xscale("log")
        axes.set_xlim(min([ladder.floor_seconds, *medians]) / 2, max(medians) * 4)
        axes.set_yticks(list(places), [step.name for step in climbed])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.round_duration(value)))
        axes.set_xlabel("an epoch")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return drawing.svg(figure, f"ladder-{ladder.device}")


def section(ladders: Sequence[Ladder]) -> str:
    """For the report's page: a device's sentences and picture each, and the way to the table."""
    figures = []
    for ladder in ladders:
        said = "".join(f'<p class="meaning">{html.escape(sentence)}</p>\n' for sentence in sentences(ladder))
        drawn = drawing.for_page(picture(ladder), CAPTION)
        figures.append(
            f"<h3>{html.escape(heading(ladder))}</h3>\n"
            f'{said}<figure><div class="scroll" tabindex="0">{drawn}</div>\n'
            '<figcaption>One change a rung. The table is in <a href="ladder.md">ladder.md</a>.</figcaption></figure>\n'
        )
    return f'<section id="ladder">\n<h2>How fast could it be?</h2>\n{"".join(figures)}</section>\n'
