"""`python -m bench` and the console script `fcnn-bench`: the command line, with what comes before and after it."""

from __future__ import annotations

import sys
from typing import NoReturn


def script() -> NoReturn:
    """Runs the command line and ends the process; Ctrl-C while it is imported or while Python ends is no traceback."""
    try:
        from bench import interruption
        from bench.cli import main

        code = main()
        interruption.ignore()
    except KeyboardInterrupt:
        code = 3
    sys.exit(code)


if __name__ == "__main__":
    script()
