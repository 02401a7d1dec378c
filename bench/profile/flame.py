"""Flame graphs as SVG that stands on its own and needs no script: hover for a frame's name and share.

After Brendan Gregg, The Flame Graph, Communications of the ACM 59(6), 2016: width is share, depth is the call stack,
neighbours are in alphabetical order and not in time's. Without recursion, since a program's stack may be as deep as
Python's own.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.text import one_line

WIDTH, ROW, CHARACTER = 1200, 18, 6.4  # in the SVG's own units; a character of its 11-unit type
SMALLEST_SHARE = 0.0008  # a frame narrower than a unit is not drawn, and neither is what it calls
COLOURS = ("#e3b587", "#e8c39a", "#dca574", "#efd2b0", "#d99a6c")


@dataclass
class Node:
    """A frame with its share and what it calls."""

    name: str
    value: float = 0.0
    children: dict[str, Node] = field(default_factory=dict)


def tree(stacks: Mapping[str, float]) -> Node:
    """The frames of `stacks`, names joined by `;`, below one root that holds them all."""
    root = Node("all")
    for stack, value in stacks.items():
        node = root
        node.value += value
        for name in stack.split(";"):
            node = node.children.setdefault(name, Node(name))
            node.value += value
    return root


@dataclass(frozen=True)
class Frame:
    """Where a frame is drawn: its row, and its left edge as a share of the width."""

    node: Node
    row: int
    left: float


def frames(root: Node, least: float) -> Iterator[Frame]:
    """The frames of at least the value `least`, parents before what they call, from left to right."""
    total = root.value or 1.0
    waiting = [Frame(root, 0, 0.0)]
    while waiting:
        frame = waiting.pop()
        yield frame
        left, below = frame.left, []
        for child in sorted(frame.node.children.values(), key=lambda child: child.name):
            if child.value >= least:
                below.append(Frame(child, frame.row + 1, left))
            left += child.value / total
        waiting += reversed(below)


def svg(stacks: Mapping[str, float], title: str) -> str:
    """The flame graph, its root at the top."""
    root = tree(stacks)
    drawn = list(frames(root, root.value * SMALLEST_SHARE))
    height = ROW * (1 + max(frame.row for frame in drawn)) + 4
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(one_line(title))}" font-family="sans-serif" font-size="11">'
    )
    return "\n".join([head, *(_drawn(frame, root.value or 1.0) for frame in drawn), "</svg>"]) + "\n"


def _drawn(frame: Frame, total: float) -> str:
    name, share = one_line(frame.node.name), frame.node.value / total
    left, top, width = frame.left * WIDTH, frame.row * ROW + 2, share * WIDTH
    colour = COLOURS[sum(map(ord, name)) % len(COLOURS)]
    room = int((width - 6) / CHARACTER)
    shown = name if len(name) <= room else name[: room - 1] + "…" if room > 3 else ""
    label = f'<text x="{left + 3:.1f}" y="{top + 12.5}" fill="#22262b">{html.escape(shown)}</text>' if shown else ""
    return (
        f"<g><title>{html.escape(name)}: {share:.1%}</title>"
        f'<rect x="{left:.1f}" y="{top}" width="{max(width - 0.5, 0.3):.1f}" height="{ROW - 1}" fill="{colour}"/>'
        f"{label}</g>"
    )
