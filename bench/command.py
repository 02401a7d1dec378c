"""What every command does around its work: the one place that makes a line and an exit code of an error."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable

from bench import console, interruption
from bench.errors import BROKEN, BenchError, reason_of


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
        except Exception as error:
            whose = "" if isinstance(error, OSError) else "this is a fault of fcnn-bench, "
            console.error(f"{reason_of(error)}; {whose}{_logged()}")
            return BROKEN


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
