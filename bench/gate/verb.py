"""The verbs `fcnn-bench check` and `certify`: options in, files, a table and an exit code out."""

from __future__ import annotations

from pathlib import Path

from bench import console, interruption
from bench.axes.devices import DEVICES
from bench.errors import DONE, FAILED, BenchError
from bench.gate.baseline import check_records
from bench.gate.certify import certify
from bench.gate.check import check, timed_on
from bench.gate.own import OwnProgram, check_program
from bench.gate.show import show, summarise_for_ci, write
from bench.gate.sides import Environment
from bench.gate.trees import default_ref
from bench.gate.whole import ALL_GATES, Request
from bench.measure import git
from bench.record import files
from bench.workers.presence import why_unusable
from bench.workers.process import HARNESS


def run_check(
    ref: str | None,
    *,
    baseline: list[Path],
    bound: float,
    everything: bool,
    gates: list[str] | None,
    data: Path | None,
    output: Path,
    environment: Environment | None = None,
    program: OwnProgram | None = None,
    device: str = "cpu",
) -> int:
    """Checks the working tree of the current folder, against `ref` or records; writes files, then prints the table.

    With an environment and no `ref`, the program that is installed is checked in this one against that one; a program
    of the user's own as it is in its working tree.
    """
    if program:
        root = program.root
        ref = ref or ("" if environment else default_ref(root))
    else:
        root = git.top(Path.cwd()) if ref or not environment else HARNESS
        if not (baseline or environment):
            ref = ref or default_ref(root)
    request = Request(
        root,
        ref or "",
        timed_on(device, everything=everything),
        bound,
        gates or ALL_GATES,
        data,
        environment,
        device,
        judges_counts=not environment or gates is not None,
    )
    if reason := why_unusable(DEVICES[device], by_several=True):
        raise BenchError(f"nothing to check: {reason}")
    files.check_writable(output, "--output")
    terminal = console.make()
    with files.ignored_by_git(output), interruption.deferred():  # from the first outcome until all are written
        with console.working(terminal) as say:
            if baseline:
                outcome = check_records(request, baseline, everything=everything, say=say)
            elif program:
                outcome = check_program(request, program, say)
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


def run_certify(output: Path, data: Path | None, bound: float) -> int:
    """Runs what is missing of the certificate of a bound in `output`, and prints it; what was run stays anyway."""
    root = git.top(Path.cwd())
    files.check_writable(output, "--output")
    with files.ignored_by_git(output):
        print(certify(root, output, data, console.line, bound))
    return DONE
