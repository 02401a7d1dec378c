"""`python -m bench` and the console script `fcnn-bench`: the command line, with what comes before and after it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn


def script() -> NoReturn:
    """Runs the command line and ends the process; neither Ctrl-C nor a file that does not parse is a traceback."""
    code = 3
    with contextlib.suppress(KeyboardInterrupt):  # while this is imported or while Python ends
        _open_standard_streams()
        from bench import command, interruption

        code = command.run(_work)
        interruption.ignore()
    # Python ends as if by SIGINT once an interrupt has passed through the execution of a text, of which torch has many,
    # whoever has caught it since. The next text that is executed makes it forget that.
    exec("")
    sys.exit(code)


def _open_standard_streams() -> None:
    """Opens what was closed on nothing: another file would get its number, and be taken for it in child processes."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _work() -> int:
    from bench.cli import work

    return work(sys.argv[1:])


if __name__ == "__main__":
    script()
