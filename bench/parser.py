"""The parser of the command line: one line for an error, and help that is set for a terminal."""

from __future__ import annotations

import argparse
import functools
import shutil
import textwrap
from collections.abc import Callable
from typing import Any

from bench.errors import USAGE
from bench.text import one_line
from fcnn.output import SafeParser

WIDTH, HELP_WIDTH = 100, 54  # of help, where the terminal has that, and of its right column, where it has 80


class Parser(SafeParser):
    """Errors are one line that says what is wrong and where help is; help is set by rich-argparse.

    Attributes:
        arguments: What was declared, in its order.
    """

    def __init__(self, *, formatter: str = "RichHelpFormatter", **options: Any) -> None:
        self.arguments: list[argparse.Action] = []
        self._formatter = formatter  # its class in rich-argparse
        super().__init__(allow_abbrev=False, **options)

    def format_help(self) -> str:
        """The help text. What sets it is imported only now."""
        import rich_argparse

        kind: Any = getattr(rich_argparse, self._formatter)
        as_written = type(self._formatter, (kind,), {"group_name_formatter": str})
        width = min(WIDTH, shutil.get_terminal_size().columns)
        self.formatter_class = functools.partial(as_written, width=width, max_help_position=26)
        return super().format_help()

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Declares an option or a positional argument."""
        self.arguments.append(super().add_argument(*names, **options))
        return self.arguments[-1]

    def error(self, message: str) -> None:  # type: ignore[override]
        """Prints the line and exits with the usage code."""
        self.exit(USAGE, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def filled_in(add: Callable[..., Any]) -> Callable[..., Any]:
    """`add_argument` for help of several lines, each of which is wrapped by itself."""

    def added(*names: Any, **options: Any) -> Any:
        lines = []
        for line in options["help"].split("\n"):
            indent = " " * (len(line) - len(line.lstrip()))
            lines += textwrap.wrap(line, HELP_WIDTH, subsequent_indent=2 * indent, drop_whitespace=True)
        return add(*names, **{**options, "help": "\n".join(lines)})

    return added
