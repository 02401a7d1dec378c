"""The plot of step time against batch size: a line per device and mode, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.analyse.cell import Cell
from bench.axes.axis import AXES
from bench.report import drawing, units
from bench.report.drawing import (
    PAPER,
    SOFT,
    Axes,
    Figure,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullLocator,
    Placed,
    colours_of,
    reach,
)

LEGEND_COLUMNS = 3
BATCHES = [2**power for power in range(15)]
MODES = {
    ("fp32", "off"): ("-", "o"),
    ("tf32", "off"): ((0, (1, 1)), "D"),
    ("bf16", "off"): ((0, (5, 2)), "s"),
    ("fp16", "off"): ((0, (2, 2)), "^"),
}
FEEDS = {"device": "", "resident": "from host memory"}
OTHER_MODES = ("P", "X", "*", "v", "<", ">", "p", "h")


def steps(placed: Sequence[Placed]) -> Figure | None:
    """Eager and compiled, in every precision, with plain Adam; None without such a step."""
    chosen = [(p, c) for p, c in placed if c.case.workload == "step" and c.case.optimizer == "adam"]
    if not chosen:
        return None
    colours = colours_of(placed)
    lines: dict[tuple[str, str, str, str, int, str, str], list[Cell]] = {}
    sizes = [axis for axis in AXES if axis.hyperparameter and len({getattr(c.case, axis.field) for _, c in chosen}) > 1]
    for place, cell in chosen:
        case = cell.case
        size = ", ".join(f"{axis.heading.lower()} {axis.shown(getattr(case, axis.field))}" for axis in sizes)
        key = (place, case.device, case.precision, case.compiler, case.threads, case.feed, size)
        lines.setdefault(key, []).append(cell)
    figure, axes = drawing.figure(4.4 + 0.2 * math.ceil(len(lines) / LEGEND_COLUMNS))
    several = len({key[4] for key in lines}) > 1
    feeds = {key[:2]: {other[5] for other in lines if other[:2] == key[:2]} for key in lines}
    sizes_of = {place: sorted({c.case.batch_size for p, c in chosen if p == place}) for place, _ in chosen}
    others = [mode for mode in dict.fromkeys(key[2:4] for key in lines) if mode not in MODES]
    styles = MODES | {mode: ("-.", OTHER_MODES[n % len(OTHER_MODES)]) for n, mode in enumerate(others)}
    for (place, device, precision, compiler, threads, feed, size), line in lines.items():
        line.sort(key=lambda cell: cell.case.batch_size)
        words = [place, device, precision, {"off": "", "default": "compile"}.get(compiler, compiler)]
        words += [
            size,
            f"{threads} threads" if several else "",
            FEEDS.get(feed, feed) if len(feeds[place, device]) > 1 else "",
        ]
        thin = feed == "resident" and len(feeds[place, device]) > 1
        dashes, marker = styles[precision, compiler]
        # A line between two points says what lies between them, and nothing was measured there.
        measured, between = [cell.case.batch_size for cell in line], sizes_of[place]
        if len(line) == 2 and between.index(measured[1]) - between.index(measured[0]) > 1:
            dashes = "none"
        style = (dashes, marker)
        _curve(axes, line, " ".join(filter(None, words)), colours[place, device], style, 0.8 if thin else 1.6)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(BATCHES[0] / 1.25, BATCHES[-1] * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(BATCHES))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if _every_other(value) else ""))
    axes.yaxis.set_major_locator(LogLocator(10, (1.0, 3.0) if _decades(axes) < 3 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.round_duration(value)))
    for one in (axes.xaxis, axes.yaxis):
        one.set_minor_locator(NullLocator())
    axes.grid(True)
    axes.set_xlabel("batch size")
    axes.set_title("time of a step", loc="left", fontsize=9.5, color=SOFT)
    figure.legend(loc="outside lower left", ncols=LEGEND_COLUMNS, columnspacing=1.6, handlelength=2.6)
    return figure


def _every_other(batch: float) -> bool:
    return round(batch).bit_length() % 2 == 1


def _decades(axes: Axes) -> float:
    low, high = axes.get_ylim()
    return float(len(str(int(high / low))))


def _curve(axes: Axes, line: list[Cell], label: str, colour: str, style: tuple[Any, str], width: float) -> None:
    x = [cell.case.batch_size for cell in line]
    y = [cell.summary.time for cell in line if cell.summary]
    dashes, marker = style
    axes.plot(x, y, color=colour, linestyle=dashes, linewidth=width, marker=marker, markersize=5, label=label)
    reaches = [reach(cell) for cell in line]
    axes.errorbar(x, y, yerr=list(zip(*reaches, strict=True)), fmt="none", ecolor=colour, elinewidth=1, capsize=2.5)
    # A flagged point is hollow.
    hollow = [(cell.case.batch_size, cell.summary.time) for cell in line if cell.flags and cell.summary]
    if hollow:
        axes.plot(*zip(*hollow, strict=True), linestyle="none", marker=marker, markersize=5, markerfacecolor=PAPER,
                  markeredgecolor=colour)  # fmt: skip
