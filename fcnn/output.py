"""What the program prints. A line may get lost where standard output is closed or full; the training never does."""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

REDRAW_SECONDS = 0.1


def show(line: str, stream: TextIO | None, end: str = "\n") -> None:
    """Prints one line at once; a stream that is closed or full takes no more lines, which is no error."""
    if stream is None:  # Python's stand-in for a stream that was closed before it started
        return
    # Paths and messages of others stand in the line: a line break there would make two lines of it.
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], line)
    try:
        print(line, end=end, file=stream, flush=True)
    except (OSError, ValueError):
        # What is left in the buffer would fail again at the interpreter's end, which has an exit code of its own.
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), stream.fileno())


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Inside, no text is too odd for the terminal's encoding; at the end, both streams are flushed as `show` does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            show("", stream, end="")


class SafeParser(argparse.ArgumentParser):
    """Its messages may get lost like any other line: argparse of Python 3.11.2 raises where it cannot write."""

    def _print_message(self, message: str, file: Any = None) -> None:
        with contextlib.suppress(AttributeError, OSError):
            super()._print_message(message, file)


def step_counter(total: int) -> Callable[[int], None] | None:
    """Shows how many of an epoch's steps are done, on a terminal; None where lines are kept, as in a log."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false", "no")
    if in_ci or sys.stdout is None or not sys.stdout.isatty():
        return None
    shown_at = time.monotonic()

    def count(step: int) -> None:
        nonlocal shown_at
        if (now := time.monotonic()) - shown_at >= REDRAW_SECONDS:
            shown_at = now
            show(f"step {step}/{total}", sys.stdout, end="\r")  # shorter than any line that comes after it

    return count


def failure_line(error: Exception) -> str:
    """The one line on an error that is not the user's; the traceback goes to a file that the line names."""
    if isinstance(error, ModuleNotFoundError) and error.name in ("numpy", "torch"):
        return f"{error.name} is missing: pip install {error.name}"
    reason = (str(error).strip().splitlines() or ["no reason given"])[0]
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="fcnn-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            traceback.print_exception(error, file=log)
    except OSError as failure:
        return f"{type(error).__name__}: {reason} (the traceback cannot be kept: {failure.strerror or failure})"
    return f"{type(error).__name__}: {reason} (traceback: {log.name})"
