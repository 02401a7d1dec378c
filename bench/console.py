"""The one way to the terminal: lines, tables and progress, and what becomes of them where they cannot be written.

Nothing that is printed is ever markup, a stream that breaks goes silent, and characters that it cannot show are
replaced; the exit code is the command's own, whatever becomes of its output.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from bench.text import one_line, plain

NARROWEST, USUAL = 10, 80  # columns
# What tables and sentences use beyond ASCII, for terminals that know no more.
ASCII = {"µ": "u", "×": "x", "±": "+-", "–": "-", "—": "-", "…": "...", "·": "-", "≤": "<=", "≥": ">=", "→": "->"}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(ASCII.get(letter, "?") for letter in letters), error.end


codecs.register_error("fcnn-bench", _in_ascii)


class Tolerant(io.TextIOBase):
    """A stream that goes silent when nobody reads it any more or nothing more fits on its disk."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: TextIO | None = stream
        self._blocked = False
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="fcnn-bench")
            with contextlib.suppress(OSError, ValueError, AttributeError):  # Windows has it from Python 3.12 on
                # What does not block, as some parents leave their pipes, would lose what does not fit at once.
                self._blocked = not os.get_blocking(stream.fileno())
                os.set_blocking(stream.fileno(), True)

    def write(self, text: str) -> int:
        """Writes as far as that is possible."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flushes as far as that is possible."""
        self._try(lambda stream: stream.flush())

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is not None:
            try:
                act(self._stream)
            except (OSError, ValueError):
                # What is still in its buffers goes nowhere too: at its end, Python would flush them, fail and exit 120.
                with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
                    os.dup2(nowhere.fileno(), self._stream.fileno())
                self._stream = None

    def give_back(self) -> None:
        """Flushes, and leaves the stream below as it was found."""
        self.flush()
        if self._blocked and self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                os.set_blocking(self._stream.fileno(), False)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor below; raises io.UnsupportedOperation where there is none."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def writable(self) -> bool:
        """It always is."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return getattr(self._stream, "encoding", None) or "utf-8"


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Standard output and standard error never fail inside."""
    before = sys.stdout, sys.stderr
    tolerant = Tolerant(before[0]), Tolerant(before[1])
    sys.stdout, sys.stderr = tolerant
    try:
        yield
    finally:
        for stream in tolerant:
            stream.give_back()
        sys.stdout, sys.stderr = before


def make(stream: IO[str] | None = None) -> Console:
    """A console on `stream`, which is standard output as it is now: a later redirection does not catch it."""
    console = Console(file=stream or sys.stdout, markup=False, emoji=False, highlight=False, _environ=_sane())
    if console.width < NARROWEST:  # COLUMNS=0 is no terminal of no width
        console.width = USUAL
    return console


def _sane() -> dict[str, str]:
    """The environment without sizes that are no numbers."""
    sizes = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES")
    return {name: value for name, value in os.environ.items() if name not in sizes or value.isdecimal()}


def in_ci() -> bool:
    """Whether this is a job of a service for continuous integration, whose log keeps every line."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def line(text: str) -> None:
    """Prints one line on standard output."""
    print(one_line(text), flush=True)


def error(message: str) -> None:
    """Prints one line on standard error."""
    print(f"fcnn-bench: {one_line(message)}", file=sys.stderr, flush=True)


def is_live(console: Console) -> bool:
    """Whether lines can be drawn over: on a terminal, and not in CI's log, whatever FORCE_COLOR says."""
    stream = console.file
    return stream.isatty() and console.is_terminal and not console.is_dumb_terminal and not in_ci()


@contextlib.contextmanager
def working(console: Console) -> Iterator[Callable[[str], None]]:
    """A function that shows what is under way on a line that vanishes; no thread redraws it and disturbs timings."""
    if not is_live(console):
        yield lambda what: None
        return
    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        yield lambda what: live.update(Text(f"{plain(what)} ..."), refresh=True)


class Bar:
    """A progress bar over expected seconds, drawn when it is told something, where lines can be drawn over."""

    def __init__(self, console: Console, total_seconds: float) -> None:
        columns = (
            TextColumn("{task.description:42}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[left]}", markup=False),
        )
        self._progress = Progress(
            *columns, console=console, transient=True, auto_refresh=False, disable=not is_live(console),
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=total_seconds, left="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, what: str, left: str, done_seconds: float) -> None:
        """What is under way, what is left, and how many of the expected seconds are done; it never goes back."""
        furthest = max(done_seconds, *(task.completed for task in self._progress.tasks))
        self._progress.update(self._task, description=what, left=left, completed=furthest, refresh=True)
