"""The ladder for people: a table, a picture, and what it comes to in sentences."""

from __future__ import annotations

import html
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console

from bench.analyse.ladder import Ladder, LadderStep, same_accuracy
from bench.profile import disturbed
from bench.profile.plain import plain_texts
from bench.report import units, words
from bench.report.plot import Plot, for_page
from bench.table import NUMBER, Column, Table, as_markdown, on_terminal
from bench.text import markdown as text

COLUMNS = [
    Column("Ladder step"),
    *(Column(heading, NUMBER) for heading in ("Per epoch", "× tutorial", "× roofline", "From cold", "Accuracy")),
    *(Column(heading, NUMBER) for heading in ("95% interval", "Lines")),
    Column("What it removes"),
]
CAPTION = "Time per epoch, one bar per ladder step"
NARROW = 6  # columns on the terminal


def rows(ladder: Ladder) -> list[list[str]]:
    """The table's text."""
    return [_row(ladder, step) for step in ladder.steps]


def _row(ladder: Ladder, step: LadderStep) -> list[str]:
    lines = units.MISSING if step.lines is None else str(step.lines)
    times, summary = step.times(ladder.first), step.summary
    cold = units.MISSING if step.cold_seconds is None else units.duration(step.cold_seconds)
    if summary is None:
        why = f"{step.removed} (not here: {step.reason})"
        return [step.name, *[units.MISSING] * 3, cold, *[units.MISSING] * 2, lines, why]
    accuracy = units.percent(statistics.fmean(step.test_accuracy_fraction))
    return [
        step.name,
        units.time(summary),
        f"{times:,.1f}" if times else units.MISSING,
        f"{summary.time / ladder.roofline_seconds:,.1f}" if ladder.roofline_seconds else units.MISSING,
        cold,
        accuracy if same_accuracy(step) else f"{accuracy} ({'not judged' if step.accuracy_p is None else 'another'})",
        units.interval(summary),
        lines,
        step.removed,
    ]


def notices(ladder: Ladder) -> list[str]:
    """What stands above all numbers: a disturbance, an interruption."""
    texts = [disturbed.notice(ladder.disturbed, "the ladder steps", "run the ladder again")] if ladder.disturbed else []
    if ladder.interrupted:
        texts.append("Interrupted: these numbers are what was measured by then, in fewer rounds than were asked for.")
    if ladder.roofline_reason:
        what = (
            "The roofline bound is not known"
            if ladder.roofline_seconds is None
            else "Not all of the roofline bound is known"
        )
        texts.append(f"{what}: {ladder.roofline_reason}.")
    return texts


def sentences(ladder: Ladder) -> list[str]:
    """What the best step is worth, against the tutorial, the roofline bound and peers; nothing if disturbed."""
    best = ladder.best
    times = best.times(ladder.first)
    if best.median is None or times is None or sum(bool(step.seconds) for step in ladder.steps) < 2:
        return ["Nothing was measured that could be compared."]
    texts = [] if ladder.disturbed else _verdict(ladder, best, best.median, times)
    if not ladder.judged:
        texts.append("No accuracy was judged: there is no reference for these images.")
    if (
        ladder.roofline_seconds
        and best.median < ladder.roofline_seconds
        and ladder.device == "cpu"
        and not ladder.disturbed
    ):
        texts.append("The roofline bound counts products with black pixels, which it skips.")
    return texts


def _verdict(ladder: Ladder, best: LadderStep, median: float, times: float) -> list[str]:
    texts = [
        f"The best step, {best.name}, takes {units.duration(median)} per epoch: {times:,.1f}× as fast as the "
        f"tutorial{_above_the_roofline(ladder, median)}."
    ]
    if helped := ladder.largest_gains:
        listed = ", ".join(f"{step.name} {gain:,.1f}×" for step, gain in helped)
        texts.append(f"The largest gains, each against the fastest step before it: {listed}.")
    for peer in (step for step in ladder.steps if step.is_peer):
        if (times_peer := best.times(peer)) is None or peer.median is None:
            continue
        texts.append(
            f"It is {times_peer:.1f}× as fast as {peer.name} ({units.duration(peer.median)}); from cold, "
            f"{units.duration(best.cold_seconds or 0)} against {units.duration(peer.cold_seconds or 0)}."
        )
    return texts


def _above_the_roofline(ladder: Ladder, seconds: float) -> str:
    """How many times the roofline bound it takes, and by what that is set where it is neither arithmetic nor bytes."""
    if not ladder.roofline_seconds:
        return ""
    least = words.ROOFLINES.get(ladder.roofline_bound or "")
    what, bound = f", the least that {least}" if least else "", units.duration(ladder.roofline_seconds)
    return f" and {seconds / ladder.roofline_seconds:.1f}× the roofline bound of {bound}{what}"


def heading(ladder: Ladder) -> str:
    """The device and its model: `On the CPU: AMD EPYC, 2 cores`."""
    return f"On {words.name(ladder.device)}: {ladder.machine}"


def show(ladder: Ladder, console: Console) -> None:
    """Prints the sentences and the table; what has no number below it, with its reason."""
    ladder = plain_texts(ladder)
    console.print(f"\n{heading(ladder)}")
    for sentence in [*notices(ladder), *sentences(ladder)]:
        console.print(sentence)
    console.print()
    timed = [row[:NARROW] for step, row in zip(ladder.steps, rows(ladder), strict=True) if step.median is not None]
    console.print(on_terminal(Table(COLUMNS[:NARROW], timed)))
    for step in ladder.steps:
        if step.reason:
            console.print(f"{step.name}: {step.reason}")


def markdown(ladders: Sequence[Ladder], pictures: Mapping[str, Plot]) -> str:
    """ladder.md: a chapter a device, whose picture is called like it in `pictures`."""
    ladders = plain_texts(list(ladders))
    first = ladders[0]
    return "\n".join(
        [
            "# The ladder: from the tutorial to the roofline bound",
            "",
            "The same network on the same images to the same accuracy, one change per step. "
            f"{text(f'torch {first.torch}, with {first.dataset}.')} Medians over epochs of fresh trainings, each from "
            "another seed. The steps take turns, and how many times as fast one is as another is the median over "
            "rounds. Lines are those of a step's code that the one before it does not have.",
            *(line for ladder in ladders for line in _chapter(ladder, pictures.get(ladder.device))),
            "",
        ]
    )


def _chapter(ladder: Ladder, plot: Plot | None) -> list[str]:
    lines = ["", f"## {text(heading(ladder))}", ""]
    for notice in notices(ladder):
        lines += [f"> **Note.** {text(notice)}", ""]
    if texts := sentences(ladder):
        lines += [*map(text, texts), ""]
    if plot:
        drawn = f"![{CAPTION}]({picture_file(ladder.device)})"
        lines += [drawn if plot.svg else text(f"There is no picture: {plot.problem}."), ""]
    return [*lines, as_markdown(Table(COLUMNS, rows(ladder)))]


def picture_file(device: str) -> str:
    """The name of a device's picture."""
    return f"ladder-{device}.svg"


def section(ladders: Sequence[Ladder], pictures: Mapping[str, Plot]) -> str:
    """For the report's page: a device's sentences and picture each, and the way to the table."""
    figures = "".join(_figure(ladder, pictures.get(ladder.device)) for ladder in plain_texts(list(ladders)))
    return f'<section id="ladder">\n<h2>How fast could it be?</h2>\n{figures}</section>\n'


def _figure(ladder: Ladder, plot: Plot | None) -> str:
    lines = [f"<h3>{html.escape(heading(ladder))}</h3>"]
    lines += [f'<p class="warning" role="note">{html.escape(notice)}</p>' for notice in notices(ladder)]
    lines += [f'<p class="meaning">{html.escape(sentence)}</p>' for sentence in sentences(ladder)]
    caption = 'One change per step. The table is in <a href="ladder.md">ladder.md</a>.'
    if plot and plot.svg:
        drawn = for_page(plot.svg, plot.label)
        lines.append(f'<figure><div class="scroll" tabindex="0">{drawn}</div>')
        lines.append(f"<figcaption>{caption}</figcaption></figure>")
    else:
        why = f" There is no picture: {html.escape(plot.problem)}." if plot else ""
        lines.append(f'<p class="meaning">{caption}{why}</p>')
    return "\n".join(lines) + "\n"
