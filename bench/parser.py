"""The parser of the command line: one line for an error, and help that is set for a terminal."""

from __future__ import annotations

import argparse
import functools
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from bench.axes.axis import nearest
from bench.errors import USAGE, BenchError
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

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """The same, but a verb itself refuses what it does not know, and names the option that is nearest."""
        options, unknown = super().parse_known_args(args, namespace)
        self.refuse(unknown)
        return options, unknown

    def refuse(self, words: Sequence[str]) -> None:
        """Ends with the line that names these words, where there are any, and the option nearest to the first."""
        if words:
            hint = next((nearest(word, self._option_string_actions) for word in words if word.startswith("--")), "")
            self.error(f"unrecognized arguments: {' '.join(words)}{hint}")

    def knows(self, word: str) -> bool:
        """Whether `word` is one of the options, or one with its value behind a `=`, or none at all."""
        return not word.startswith("--") or word.partition("=")[0] in ("--", *self._option_string_actions)

    def error(self, message: str) -> None:  # type: ignore[override]
        """Prints the line and exits with the usage code."""
        self.exit(USAGE, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def verb_first(parser: Parser, words: Sequence[str]) -> list[str]:
    """`words` with the verb in front of the options that stand before it, so that these mean the same in both places.

    What a verb does not know it then refuses, as it does behind it.
    """
    verbs = parser.get_default("verbs")
    takes_one = {name for action in parser.arguments if action.nargs is None for name in action.option_strings}
    at = 0
    while at < len(words):
        if words[at] in takes_one:
            at += 1  # its value, which may be called like a verb
        elif words[at] in verbs:
            return [words[at], *words[:at], *words[at + 1 :]]
        elif words[at] == "--":
            break
        at += 1
    parser.refuse([word for word in words if not parser.knows(word)])
    if words and not words[0].startswith("-"):
        parser.error(f"{words[0]!r} is none of {', '.join(verbs)}{nearest(words[0], verbs)}")
    return list(words)


TWO_SIDES = "compare: two records, or A ... -- B ... (see fcnn-bench compare --help)"


def sides_apart(words: Sequence[str]) -> list[str]:
    """`compare A ... -- B ...` as options: argparse drops the `--`, and what stands on which side with it."""
    if words[:1] != ["compare"] or "--" not in words:
        return list(words)
    at = list(words).index("--")
    a, b = words[1:at], words[at + 1 :]
    if not a or not b or "--" in b:
        raise BenchError(TWO_SIDES, USAGE)
    return ["compare", *a, "--with", *b]


def filled_in(add: Callable[..., Any]) -> Callable[..., Any]:
    """`add_argument` for help of several lines, each of which is wrapped by itself."""

    def added(*names: Any, **options: Any) -> Any:
        lines = []
        for line in options["help"].split("\n"):
            indent = " " * (len(line) - len(line.lstrip()))
            lines += textwrap.wrap(line, HELP_WIDTH, subsequent_indent=2 * indent, drop_whitespace=True)
        return add(*names, **{**options, "help": "\n".join(lines)})

    return added
