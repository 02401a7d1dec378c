"""`python -m fcnn`: what comes before and after the command line, so that no signal ends it with a traceback."""

import contextlib
import sys
from typing import NoReturn


def script() -> NoReturn:
    """Runs the command line and ends the process."""
    code = 3
    with contextlib.suppress(KeyboardInterrupt):  # while this is imported or while Python ends
        from fcnn import interruption

        interruption.take_signals()
        with contextlib.suppress(KeyboardInterrupt):
            with interruption.deferred():
                from fcnn.cli import main
            code = main()
        interruption.ignore()
    # Python ends as if by SIGINT once an interrupt has passed through the execution of a text, of which torch has many,
    # whoever has caught it since. The next text that is executed makes it forget that.
    exec("")
    sys.exit(code)


if __name__ == "__main__":
    script()
