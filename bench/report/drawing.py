"""How plots look: palette, axes, and SVG text that is the same for the same record and follows the page's colours."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.analyse.cell import Cell
from bench.report.plot import INK, PAPER, RULE, SERIES, SOFT, for_page


@contextlib.contextmanager
def _own_configuration() -> Iterator[None]:
    """Matplotlib reads the configuration in the current folder first: inside, that is its own.

    Another one, of the user's, keeps it from being imported if it is no UTF-8.
    """
    spec = importlib.util.find_spec("matplotlib")
    own = Path(spec.origin).parent / "mpl-data" if spec and spec.origin else Path()
    try:
        before = Path.cwd()
    except FileNotFoundError:  # it was deleted, and so holds no configuration
        own = Path()
    if not (own / "matplotlibrc").is_file():
        yield
        return
    os.chdir(own)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.chdir(before)


# Nobody else imports matplotlib. An unknown backend keeps it from being imported, and none is used here.
os.environ.pop("MPLBACKEND", None)
with _own_configuration():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

__all__ = [
    "INK", "PAPER", "RULE", "SERIES", "SOFT", "Axes", "Figure", "FixedLocator", "FuncFormatter", "LogLocator",
    "MaxNLocator", "NullLocator", "for_page",
]  # fmt: skip

Placed = tuple[str, Cell]  # a cell and where it was measured: `here`, `elsewhere`, or empty for the only place

WIDTH = 9.2  # inches
STYLE: Any = {
    "text.parse_math": False,  # a dollar sign in a name is one
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


def pair(height: float) -> tuple[Figure, tuple[Axes, Axes]]:
    """The same with two plots beside each other, whose rows are one another's."""
    made = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.06))  # so that no ticks meet
    left, right = made.subplots(1, 2, width_ratios=(3, 2))
    return made, (left, right)


@contextlib.contextmanager
def rc() -> Iterator[None]:
    """The context in which figures are made: the library's own defaults and `STYLE`, nothing of the user's."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of defaults that are deprecated
        mpl.rcParams.update({k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith("backend")})
        mpl.rcParams.update(STYLE)
        yield


def svg(made: Figure, name: str) -> str:
    """The figure as SVG text that stands on its own; the same figure and name give the same text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        # `savefig` would draw a figure with a layout twice: once only to lay it out, which drawing does, too.
        FigureCanvasSVG(made).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", buffer.getvalue(), flags=re.DOTALL)
    # A bare * would, inlined in a page, style all of it.
    text = text.replace("*{stroke-linejoin", "svg *{stroke-linejoin")
    # Several plots stand in one page, where ids must not meet.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'(?:, sans-serif)?", rf"\g<1>{FONTS}", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def colours_of(placed: Sequence[Placed]) -> dict[tuple[str, str], str]:
    """A colour a device of a machine, in the order met."""
    keys = dict.fromkeys((place, cell.case.device) for place, cell in placed)
    return {key: SERIES[index % len(SERIES)] for index, key in enumerate(keys)}


def reach(cell: Cell) -> tuple[float, float]:
    """How far the interval reaches below and above the median; nowhere if there is none."""
    s = cell.summary
    if s is None or s.low is None or s.high is None:
        return 0.0, 0.0
    return s.time - s.low, s.high - s.time
