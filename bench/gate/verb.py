"""The verbs `fcnn-bench check` and `certify`: options in, an exit code out; a user's error is one line."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from bench.gate.accuracy import ReferenceError
from bench.gate.baseline import BaselineError, check_records
from bench.gate.certify import certify
from bench.gate.check import ALL_TIMED, DEFAULT_TIMED, Request, check
from bench.gate.counts import AcceptedError
from bench.gate.outcome import BROKEN, FAILED, NOT_COMPARABLE
from bench.gate.show import show, write
from bench.gate.trees import TreeError, default_ref, git
from fcnn.data import DataError

USAGE = 2


def run_check(
    ref: str | None,
    *,
    baseline: list[Path],
    bound: float,
    everything: bool,
    gates: list[str],
    data: Path | None,
    output: Path,
) -> int:
    """Checks the working tree of the current folder, against `ref` or records; writes files and prints the table."""
    console = Console(highlight=False)
    try:
        root = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
        timed = ALL_TIMED if everything else DEFAULT_TIMED
        request = Request(root, "" if baseline else ref or default_ref(root), timed, bound, gates, data)
        with console.status("") as status:

            def say(gate: str) -> None:
                status.update(f"{gate} ...")

            if baseline:
                found = check_records(request, baseline, everything=everything, say=say)
            else:
                found = check(request, say)
    except (TreeError, ReferenceError, BaselineError) as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return NOT_COMPARABLE
    except (AcceptedError, DataError) as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return USAGE
    show(found, console)
    try:
        write(found, output)
    except OSError as error:
        print(f"fcnn-bench: {output} cannot be written: {error.strerror}; choose another --output", file=sys.stderr)
        return FAILED if found.exit_code == FAILED else BROKEN
    return found.exit_code


def run_certify(output: Path, data: Path | None) -> int:
    """Runs what is missing of the certificate in `output` and prints it; what was run stays if it is interrupted."""
    try:
        root = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
        print(certify(root, output, data, lambda line: print(line, flush=True)))
    except (TreeError, DataError) as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return USAGE
    return 0
