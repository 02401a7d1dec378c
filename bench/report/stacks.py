"""The picture of where the time of a step goes: a stacked bar per device and batch size, in time and in shares."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.account import TERMS
from bench.analyse.cell import Cell
from bench.axes.axis import is_plain
from bench.axes.workloads import workload
from bench.report import drawing, units
from bench.report.drawing import INK, RULE, SERIES, SOFT, Axes, Figure, FuncFormatter, MaxNLocator, Placed
from bench.report.words import TERM_NAMES

COLOURS = dict(zip(TERMS, (SERIES[3], SERIES[4], SERIES[1], SERIES[0], SERIES[2], RULE), strict=True))
HEIGHT = 0.72
# Of the shortest bar. Beyond that, a bar leaves the frame: what is the same in all of them would not be seen otherwise.
LONGEST = 5.0


def accounts(placed: Sequence[Placed]) -> Figure | None:
    """The plain step, or a program's own, by device and batch size; None without an account of one."""
    chosen = sorted((one for one in placed if _is_plain(one[1])), key=lambda one: one[1].case.batch_size)
    devices = dict.fromkeys((place, cell.case.device, _feed(placed, place, cell)) for place, cell in placed)
    rows = [
        (place, cell)
        for where in devices
        for place, cell in chosen
        if (place, cell.case.device, cell.case.feed) == where
    ]
    if not rows:
        return None
    figure, (times, shares) = drawing.pair(0.95 + 0.3 * len(rows))
    shortest = min(cell.summary.time for _, cell in rows if cell.summary)
    longest = max(cell.summary.time for _, cell in rows if cell.summary)
    limit = min(LONGEST * shortest, 1.02 * longest)
    _bars(times, rows, limit)
    _bars(shares, rows, None)
    for row, (_, cell) in enumerate(rows):
        if cell.summary:
            beyond = "… " if cell.summary.time > limit else ""
            end = min(cell.summary.time, limit) + 0.015 * limit
            times.text(end, row, f"{beyond}{units.time(cell.summary)}", va="center", color=INK)
    several = len({cell.case.threads for _, cell in rows}) > 1
    labels = [_label(place, cell, with_threads=several) for place, cell in rows]
    times.set_yticks(range(len(rows)), labels)
    times.set_xlim(0, 1.3 * limit)
    times.set_title("time of a step", loc="left", fontsize=9.5, color=SOFT)
    times.xaxis.set_major_locator(MaxNLocator(6))  # more would meet where they have decimals
    times.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.round_duration(value)))
    shares.set_yticks([])
    shares.set_xlim(0, 1)
    shares.set_title("share of it", loc="left", fontsize=9.5, color=SOFT)
    shares.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.round_percent(round(value, 6))))
    for axes in (times, shares):
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.spines["bottom"].set_visible(False)
    used = [term for term in TERMS if any(cell.account and cell.account.share(term) > 0.005 for _, cell in rows)]
    handles = [shares.barh(0, 0, color=COLOURS[term], label=TERM_NAMES[term]) for term in used]
    figure.legend(handles=handles, loc="outside lower left", ncols=6, columnspacing=1.4, handlelength=1.2)
    return figure


def _label(place: str, cell: Cell, *, with_threads: bool) -> str:
    threads = f"{cell.case.threads} threads" if with_threads else ""
    where = " ".join(filter(None, (place, cell.case.device, threads)))
    return f"{where}, batch {cell.case.batch_size:,}"


def _is_plain(cell: Cell) -> bool:
    row = workload(cell.case.workload)
    return cell.account is not None and (row.own or row.name == "step") and is_plain(cell.case)


def _feed(placed: Sequence[Placed], place: str, cell: Cell) -> str:
    """The feed of the device's bars: images in its own memory, where that was measured."""
    feeds = {c.case.feed for p, c in placed if p == place and c.case.device == cell.case.device and _is_plain(c)}
    return "device" if "device" in feeds else "resident"


def _bars(axes: Axes, rows: Sequence[Placed], limit: float | None) -> None:
    """The bars of all rows: in seconds up to a limit, or without one in shares. What overlaps is not drawn twice."""
    left = [0.0] * len(rows)
    for term in TERMS:
        widths = [_width(cell, term, limit) for _, cell in rows]
        if limit is not None:
            widths = [min(width, limit - begin) for width, begin in zip(widths, left, strict=True)]
        axes.barh(range(len(rows)), widths, HEIGHT, left, color=COLOURS[term], linewidth=0)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]


def _width(cell: Cell, term: str, limit: float | None) -> float:
    if cell.account is None or cell.summary is None:
        return 0.0
    drawn = {name: max(0.0, seconds) for name, seconds in cell.account.seconds.items()}
    return drawn[term] / sum(drawn.values()) * (1.0 if limit is None else cell.summary.time)
