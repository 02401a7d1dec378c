"""`python -m fcnn`: what comes before and after the command line, so that no signal ends it with a traceback."""

import sys
from typing import NoReturn


def script() -> NoReturn:
    """Runs the command line and ends the process."""
    code = 3
    try:
        from fcnn import interruption

        interruption.take_signals()
        from fcnn.cli import main

        code = main()
        interruption.ignore()
    except KeyboardInterrupt:  # while this is imported or while Python ends
        pass
    sys.exit(code)


if __name__ == "__main__":
    script()
