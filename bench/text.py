"""Text that any terminal, file and parser can take, whatever a program, a path or a message holds."""

from __future__ import annotations

import re
from collections.abc import Callable

# Colours, cursor moves and titles (ECMA-48): control sequences, operating system commands, and two-letter escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")
# What XML 1.0 (section 2.2) and HTML do not allow in a document: controls, lone surrogates, noncharacters.
_NO_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_BREAKS = re.compile("[\t\n\r\x85\u2028\u2029]+")
REPLACEMENT = "\ufffd"


def plain(text: str) -> str:
    """`text` without terminal escapes, and with U+FFFD for every character that no document may hold."""
    return _NO_TEXT.sub(REPLACEMENT, _ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """The same on one line: a message or a table's cell stays one, whatever it quotes."""
    return _BREAKS.sub(" ", plain(text)).strip()


def counted(number: int, noun: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# The units that facts of the environment carry in their names, with how a number of them is shown.
_UNITS: dict[str, Callable[[float], str]] = {
    "_hertz": lambda value: f"{value / 1e6:,.0f} MHz",
    "_watts": lambda value: f"{value:,.0f} W",
}


def fact_name(name: str) -> str:
    """The name of a fact of the environment in words, without its unit: `cuda_power_limit_watts`."""
    for unit in ("_bytes", *_UNITS):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def fact_value(name: str, value: object) -> str:
    """The value of such a fact, a number in the unit that its name carries."""
    for unit, show in _UNITS.items():
        if name.endswith(unit) and isinstance(value, int | float):
            return show(value)
    return str(value)


def fence(text: str) -> str:
    """More backticks than stand together in `text`: in Markdown they open and close code that holds it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * (longest + 1)


def code(text: str) -> str:
    """`text` as Markdown's code within a line."""
    shown, ticks = one_line(text), fence(text)
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"`{shown}`"


# What Markdown and its dialects on the web would read: escapes, code, emphasis, tags, entities, formulas, cells,
# strike-through, links, a heading's end. An underscore within a word is none of it.
_MARKUP = re.compile(r"[\\`*<$|~]|&(?=#?\w+;)|\](?=[(\[:])|(?<!\S)#|(?<![^\W_])_|_(?![^\W_])")


def markdown(text: str) -> str:
    """`text` as Markdown that shows it, on one line and in one cell."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))
