"""The plots: where a step's time goes, its time by batch size, its parts, the epoch by feed, accuracy by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analyse.cell import Cell
from bench.analyse.cells import cells
from bench.analyse.statistics import mean_interval
from bench.axes.axis import AXES
from bench.axes.workloads import STEP_WORKLOADS
from bench.errors import reason_of
from bench.record.model import Record
from bench.report import curves, drawing, stacks, units
from bench.report.drawing import INK, PAPER, SOFT, Figure, FuncFormatter, Placed, colours_of, reach
from bench.report.plot import Plot
from bench.report.words import REFERENCE_BATCH


def plots(records: Sequence[Record]) -> list[Plot]:
    """Every plot that the records have numbers for; `records[0]` is the run at hand."""
    timed = [(record, cell) for record in records for cell in cells(record) if cell.summary]
    places = {id(record): where(records, record) for record in records}
    drawn: list[tuple[str, str, Callable[[Sequence[Placed]], Figure | None]]] = [
        ("accounts", "Where the time of a training step goes, by device and batch size", stacks.accounts),
        ("steps", "Time of a training step against batch size, both logarithmic", curves.steps),
        ("parts", "Time of the parts of a training step", _parts),
        ("epochs", "Time of an epoch by data feed", _epochs),
        ("accuracy", "Test accuracy of every seed", _accuracy),
    ]
    placed = [(places[id(record)], cell) for record, cell in timed]
    with drawing.rc():
        made = [_plot(name, label, draw, placed) for name, label, draw in drawn]
    return [plot for plot in made if plot is not None]


def _plot(
    name: str, label: str, draw: Callable[[Sequence[Placed]], Figure | None], placed: Sequence[Placed]
) -> Plot | None:
    """None if there are no numbers for it; one that fails costs no other, and no report."""
    try:
        figure = draw(placed)
        return Plot(name, label, drawing.svg(figure, name)) if figure is not None else None
    except Exception as error:
        return Plot(name, label, "", f"it could not be drawn: {reason_of(error)}")


def where(records: Sequence[Record], record: Record) -> str:
    """Which record a line is of; empty if there is only one."""
    if len(records) == 1:
        return ""
    index = next(index for index, other in enumerate(records) if other is record)
    return "here" if index == 0 else "elsewhere" if len(records) == 2 else f"elsewhere {index}"


def _parts(placed: Sequence[Placed]) -> Figure | None:
    timed = {
        _setting(p, c)
        for p, c in placed
        if c.case.workload in STEP_WORKLOADS[:-1] and c.case.batch_size == REFERENCE_BATCH
    }
    if not timed:  # another batch size then, if the run has one
        timed = {_setting(p, c) for p, c in placed if c.case.workload in STEP_WORKLOADS[:-1]}
    chosen = [(p, c) for p, c in placed if c.case.workload in STEP_WORKLOADS and _setting(p, c) in timed]
    chosen.sort(key=lambda item: STEP_WORKLOADS.index(item[1].case.workload))
    settings = list(dict.fromkeys(_setting(p, c) for p, c in placed if _setting(p, c) in timed))
    ordered = [item for setting in settings for item in chosen if _setting(*item) == setting]
    return _bars(ordered, placed, lambda cell: [cell.case.workload.replace("_", " + "), *_apart(ordered, cell)])


def _setting(place: str, cell: Cell) -> tuple[object, ...]:
    return place, *(getattr(cell.case, axis.field) for axis in AXES if axis.field != "workload")


def _apart(placed: Sequence[Placed], cell: Cell) -> list[str]:
    """The axes in which the bars differ."""
    axes = [axis for axis in AXES if axis.field not in ("workload", "device", "feed")]
    differing = [axis for axis in axes if len({getattr(other.case, axis.field) for _, other in placed}) > 1]
    texts = [(axis, axis.shown(getattr(cell.case, axis.field))) for axis in differing]
    return [text if axis.rows else f"{axis.heading.lower()} {text}" for axis, text in texts]


def _epochs(placed: Sequence[Placed]) -> Figure | None:
    chosen = [(p, c) for p, c in placed if c.case.workload == "epoch"]
    return _bars(chosen, placed, lambda cell: [cell.case.feed, *_apart(chosen, cell)])


def _bars(chosen: Sequence[Placed], placed: Sequence[Placed], words: Callable[[Cell], list[str]]) -> Figure | None:
    """Horizontal bars of the medians with their intervals and the number at the end; flagged ones are outlined."""
    if not chosen:
        return None
    figure, axes = drawing.figure(0.55 + 0.33 * len(chosen))
    colours = colours_of(placed)
    longest = max(cell.summary.time + reach(cell)[1] for _, cell in chosen if cell.summary)
    for row, (place, cell) in enumerate(chosen):
        if cell.summary is None:
            continue
        colour, value, (down, up) = colours[place, cell.case.device], cell.summary.time, reach(cell)
        fill = {"facecolor": PAPER, "edgecolor": colour} if cell.flags else {"color": colour}
        axes.barh(row, value, height=0.62, linewidth=1.2, **fill)  # type: ignore[arg-type]
        axes.errorbar(value, row, xerr=[[down], [up]], fmt="none", ecolor=INK, elinewidth=1.4)
        mark = f"  ({cell.flag_names})" if cell.flags else ""
        axes.text(value + up + 0.012 * longest, row, units.time(cell.summary) + mark, va="center", color=INK)
    labels = [" · ".join(word for word in (place, cell.case.device, *words(cell)) if word) for place, cell in chosen]
    axes.set_yticks(range(len(chosen)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.set_xlim(0, 1.18 * longest)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.round_duration(value)))
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.spines["bottom"].set_visible(False)
    return figure


def _accuracy(placed: Sequence[Placed]) -> Figure | None:
    chosen = [(p, c, c.measurement.accuracy) for p, c in placed if c.measurement and c.measurement.accuracy]
    if not chosen:
        return None
    figure, axes = drawing.figure(0.95 + 0.62 * len(chosen))
    colours = colours_of(placed)
    pairs = [(p, c) for p, c, _ in chosen]
    for row, (place, cell, accuracy) in enumerate(chosen):
        values, colour = accuracy.test_accuracy_fraction, colours[place, cell.case.device]
        # Up and down in turn, so that equal accuracies do not hide each other.
        spread = [row + 0.09 * (index % 3 - 1) for index in range(len(values))]
        axes.plot(values, spread, "o", markersize=5.5, color=colour, alpha=0.7, markeredgewidth=0)
        mean, low, high = mean_interval(values)
        if low is not None and high is not None:
            axes.plot([low, high], [row + 0.3] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot([mean], [row + 0.3], "D", color=colour, markersize=5.5)
    for target in sorted({accuracy.target_fraction for *_, accuracy in chosen}):
        axes.axvline(target, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.text(target, -0.58, f" target {units.round_percent(target)}", color=SOFT, va="bottom", fontsize=9)
    labels = [" · ".join(w for w in (p, c.case.device, *_apart(pairs, c)) if w) for p, c in pairs]
    axes.set_yticks(range(len(chosen)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(chosen) - 0.45, -0.6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.percent(value, 1)))
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.spines["bottom"].set_visible(False)
    return figure
