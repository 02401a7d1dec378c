"""What every command does around its work: the one place that makes a line and an exit code of an error."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from bench import console, interruption
from bench.errors import BROKEN, DONE, USAGE, BenchError, reason_of


def run(work: Callable[[], int]) -> int:
    """The exit code of `work`; what it raises is one line on standard error, and an interruption is one, too."""
    with console.tolerant_streams(), interruption.noticed():
        try:
            return work()
        except BenchError as error:
            console.error(str(error))
            return error.exit_code
        except KeyboardInterrupt:
            console.error("interrupted")
            return BROKEN
        except SystemExit as error:
            if error.code in (None, DONE, USAGE):  # help and usage errors
                raise
            console.error(f"{reason_of(error)}; {_logged()}")
            return BROKEN
        except Exception as error:
            # What an interrupt leaves half-done may fail in turn.
            why = "interrupted: " if interruption.came() else ""
            console.error(f"{why}{reason_of(error)}; {_whose(error)}{_logged()}")
            return BROKEN


def _whose(error: Exception) -> str:
    """Where the fault is, as far as one can tell."""
    if isinstance(error, OSError):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    at = error.filename if isinstance(error, SyntaxError) else frames[-1].filename if frames else None
    program = Path(__file__).parents[1] / "fcnn"
    if at and Path(at).is_relative_to(program):
        return f"it was raised in {at}, "
    return "this is a fault of fcnn-bench, "


def _logged() -> str:
    """Writes the traceback of the exception at hand to a file and says where, as the end of a sentence."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="fcnn-bench-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            traceback.print_exc(file=file)
        return f"the traceback is in {file.name}"
    except OSError as error:
        return f"the traceback cannot be written: {error.strerror}"
