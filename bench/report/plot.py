"""A plot as the page and the Markdown take it, drawn or not; without matplotlib, which may not be importable."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import escape

# Every colour is a CSS variable of the page with this fall-back for the file on its own.
INK, SOFT, RULE, PAPER = "#22262b", "#68707a", "#e3e5e8", "#fefefe"
SERIES = ("#2f6db3", "#c2571a", "#2c8a68", "#8a4fa3", "#a8862a", "#b23a55")
VARIABLES = {INK: "ink", SOFT: "soft", RULE: "rule", PAPER: "paper"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)
}


@dataclass(frozen=True)
class Plot:
    """A finished plot: `name` is its file's, `svg` its whole text, `label` says what it shows.

    Attributes:
        problem: Why it could not be drawn, with an empty `svg`; empty if it was.
    """

    name: str
    label: str
    svg: str
    problem: str = ""


def for_page(text: str, label: str) -> str:
    """The SVG to set into the page: without XML's head, sized by the page, in the page's colours, with a label."""
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*"', r"\1\2", text, count=1)
    text = re.sub(r' width="[\d.]+pt"', "", text, count=1)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text
