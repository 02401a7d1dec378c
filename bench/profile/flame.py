"""Flame graphs as SVG that stands on its own and needs no script: hover for a frame's name and share.

After Brendan Gregg, The Flame Graph, Communications of the ACM 59(6), 2016: width is share, depth is the call stack,
neighbours are in alphabetical order and not in time's.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field

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


def depth(node: Node, least: float) -> int:
    """Rows below and with `node`, of frames of at least so much."""
    return 1 + max((depth(child, least) for child in node.children.values() if child.value >= least), default=0)


def svg(stacks: Mapping[str, float], title: str) -> str:
    """The flame graph, its root at the top."""
    root = tree(stacks)
    least = root.value * SMALLEST_SHARE
    height = ROW * depth(root, least) + 4
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="sans-serif" font-size="11">'
    ]
    _draw(root, 0.0, 0, root.value or 1.0, least, lines)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _draw(node: Node, left: float, row: int, total: float, least: float, lines: list[str]) -> None:
    width, top = node.value / total * WIDTH, row * ROW + 2
    colour = COLOURS[sum(map(ord, node.name)) % len(COLOURS)]
    room = int((width - 6) / CHARACTER)
    name = node.name if len(node.name) <= room else node.name[: room - 1] + "…" if room > 3 else ""
    label = f'<text x="{left + 3:.1f}" y="{top + 12.5}" fill="#22262b">{html.escape(name)}</text>' if name else ""
    lines.append(
        f"<g><title>{html.escape(node.name)}: {node.value / total:.1%}</title>"
        f'<rect x="{left:.1f}" y="{top}" width="{max(width - 0.5, 0.3):.1f}" height="{ROW - 1}" fill="{colour}"/>'
        f"{label}</g>"
    )
    for child in sorted(node.children.values(), key=lambda child: child.name):
        if child.value >= least:
            _draw(child, left, row + 1, total, least, lines)
        left += child.value / total * WIDTH
