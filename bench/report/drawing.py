"""How plots look: palette, axes, and SVG text that is the same for the same record and follows the page's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analyse.cell import Cell

Placed = tuple[str, Cell]  # a cell and where it was measured: `here`, `elsewhere`, or empty for the only place

WIDTH = 9.2  # inches
# Every colour is a CSS variable of the page with this fall-back for the file on its own.
INK, SOFT, RULE, PAPER = "#22262b", "#68707a", "#e3e5e8", "#fefefe"
SERIES = ("#2f6db3", "#c2571a", "#2c8a68", "#8a4fa3", "#a8862a", "#b23a55")
VARIABLES = {INK: "ink", SOFT: "soft", RULE: "rule", PAPER: "paper"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)
}
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so that the layout is the same everywhere
    "font.size": 9.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}
# SVG text is set in the reader's own font; matplotlib's, in which it was laid out, is wider than these.
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


def figure(height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, without pyplot and its global state. Call it and `svg` within `rc()`."""
    made = Figure(figsize=(WIDTH, height), layout="constrained")
    return made, made.add_subplot()


def rc() -> AbstractContextManager[None]:
    """The context in which figures are made."""
    return mpl.rc_context(STYLE)


def svg(made: Figure, name: str) -> str:
    """The figure as SVG text that stands on its own; the same figure and name give the same text."""
    buffer = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", buffer.getvalue(), flags=re.DOTALL)
    # A bare * would, inlined in a page, style all of it.
    text = text.replace("*{stroke-linejoin", "svg *{stroke-linejoin")
    # Several plots stand in one page, where ids must not meet.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'(?:, sans-serif)?", rf"\g<1>{FONTS}", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def for_page(text: str, label: str) -> str:
    """The SVG to set into the page: without XML's head, sized by the page, in the page's colours, with a label."""
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*"', r"\1\2", text, count=1)
    text = re.sub(r' width="[\d.]+pt"', "", text, count=1)
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def colours_of(found: Sequence[Placed]) -> dict[tuple[str, str], str]:
    """A colour a device of a machine, in the order met."""
    keys = dict.fromkeys((place, cell.case.device) for place, cell in found)
    return {key: SERIES[index % len(SERIES)] for index, key in enumerate(keys)}


def reach(cell: Cell) -> tuple[float, float]:
    """How far the interval reaches below and above the median; nowhere if there is none."""
    s = cell.summary
    if s is None or s.low is None or s.high is None:
        return 0.0, 0.0
    return s.median - s.low, s.high - s.median
