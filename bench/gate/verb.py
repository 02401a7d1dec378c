"""The verbs `fcnn-bench check` and `certify`: options in, files, a table and an exit code out."""

from __future__ import annotations

from pathlib import Path

from bench import console, interruption
from bench.errors import DONE, FAILED, BenchError
from bench.gate.baseline import check_records
from bench.gate.certify import certify
from bench.gate.check import ALL_TIMED, DEFAULT_TIMED, Request, check
from bench.gate.show import show, summarise_for_ci, write
from bench.gate.trees import default_ref
from bench.measure import git
from bench.record import files


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
    """Checks the working tree of the current folder, against `ref` or records; writes files, then prints the table."""
    root = git.top(Path.cwd())
    timed = ALL_TIMED if everything else DEFAULT_TIMED
    request = Request(root, "" if baseline else ref or default_ref(root), timed, bound, gates, data)
    files.check_writable(output, "--output")
    terminal = console.make()
    with interruption.deferred():  # from the first outcome until all are written
        with console.working(terminal) as say:
            if baseline:
                outcome = check_records(request, baseline, everything=everything, say=say)
            else:
                outcome = check(request, say)
        try:
            write(outcome, output)
        except BenchError as error:
            if outcome.exit_code != FAILED:
                raise
            console.error(str(error))
        show(outcome, terminal)
    # The verdict is the program's; where CI shows it is not.
    if problem := summarise_for_ci(outcome):
        console.error(problem)
    return outcome.exit_code


def run_certify(output: Path, data: Path | None) -> int:
    """Runs what is missing of the certificate in `output` and prints it; what was run stays if it is interrupted."""
    root = git.top(Path.cwd())
    files.check_writable(output, "--output")
    print(certify(root, output, data, console.line))
    return DONE
