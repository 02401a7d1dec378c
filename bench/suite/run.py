"""The main job: plan, measure through pytest with progress, show the tables, leave the results folder."""

from __future__ import annotations

import collections
import contextlib
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench.axes import matrix
from bench.axes.case import Case, case_id, why_impossible
from bench.record.model import Record
from bench.report.units import duration
from bench.suite.expected import fit, overhead_seconds
from bench.suite.plugin import PREFIX
from bench.suite.session import images
from fcnn.data import DataError

DONE, USAGE, BROKEN = 0, 2, 3


class Listener:
    """A pytest plugin that shows progress and receives what the run wrote.

    Attributes:
        record: The run's record, once there is one, the promoted ones `elsewhere`; `folder` is where it was written.
        failures: A line for each case that raised.
    """

    def __init__(self, expected: dict[str, float], progress: Progress) -> None:
        self.record: Record | None = None
        self.elsewhere: list[Record] = []
        self.folder: Path | None = None
        self.failures: list[str] = []
        self._left = dict(expected)
        self._progress = progress
        self._begin = time.monotonic()
        self._task = progress.add_task("starting", total=sum(expected.values()), left="")

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Shows the case that begins, and the time left."""
        name = location[2].removeprefix("bench_")
        left = duration(sum(self._left.values()))
        self._progress.update(self._task, description=name, left=f"about {left} left")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the last line of a failure, and counts a case's expected time as done."""
        if report.when == "call" and report.failed:
            last = str(report.longreprtext).strip().splitlines()[-1]
            self.failures.append(f"{report.location[2].removeprefix('bench_')}: {last}")
        if report.when == "teardown":
            done = self._left.pop(report.location[2].removeprefix("bench_"), 0.0)
            self._progress.advance(self._task, done)

    def pytest_fcnn_wrote(self, record: Record, elsewhere: list[Record], folder: Path) -> None:
        """Keeps what the suite wrote."""
        self.record, self.elsewhere, self.folder = record, elsewhere, folder


def run(options: dict[str, Any], plan: str) -> int:
    """Measures the cases that `options` choose and writes the results folder; the exit code."""
    console = Console(highlight=False)
    problem = _check_results_folder(options["results"])
    if problem:
        return _fail(problem, USAGE)
    try:
        found = images(options["dataset"], options["data"])
    except DataError as error:
        return _fail(str(error), USAGE)
    planned = {case_id(case): case for case in matrix.cases(options, plan)}
    reasons = {id: why_impossible(case, len(found.train)) for id, case in planned.items()}
    possible = {id: case for id, case in planned.items() if not reasons[id]}
    if not possible:
        return _fail(f"nothing to measure: {next(iter(reasons.values()))}", BROKEN)
    effort, expected = fit(possible, found, options, plan)
    options |= {"budget": effort.step_seconds, "epochs": effort.epochs, "seeds": effort.seeds}
    overhead = overhead_seconds(len({case.device for case in possible.values()}))
    _show_plan(console, planned, possible, sum(expected.values()) + overhead, found.label)
    listener, code = _run_pytest(console, options, plan, expected)
    return _finish(console, listener, code)


def _show_plan(
    console: Console, planned: dict[str, Case], possible: dict[str, Case], seconds: float, label: str
) -> None:
    console.print(f"[bold]fcnn-bench[/]  {label}", soft_wrap=True)
    for device in dict.fromkeys(case.device for case in possible.values()):
        counts = collections.Counter(case.workload for case in possible.values() if case.device == device)
        console.print(f"  {device:6}" + ", ".join(f"{count} {workload}" for workload, count in counts.items()))
    skipped = len(planned) - len(possible)
    note = f"; {skipped} more cannot run here, the report says why" if skipped else ""
    console.print(f"  {len(possible)} cases, expected time [bold]{duration(seconds)}[/]{note}\n")


def _run_pytest(
    console: Console, options: dict[str, Any], plan: str, expected: dict[str, float]
) -> tuple[Listener, int]:
    """Runs the suite's modules in this process; pytest's own output goes to the run's log."""
    with tempfile.TemporaryDirectory(prefix="fcnn-bench-") as scratch:
        log = Path(scratch) / "run.log"
        words = [str(Path(__file__).parent), "--benchmark-only", "-s", "-v"]
        words += ["-p", "pytest_benchmark.plugin", "-p", "bench.suite.plugin"]
        words += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", scratch, "--import-mode=importlib"]
        words += ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"]
        words += [f"--{PREFIX}plan", plan, f"--{PREFIX}log", str(log)]
        words += [f"--{PREFIX}command", shlex.join(["fcnn-bench", *sys.argv[1:]])]
        words += matrix.option_words(options, PREFIX)
        columns = (TextColumn("{task.description:42}"), BarColumn(), TextColumn("{task.fields[left]}"))
        with (
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
            log.open("w", buffering=1, encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
            _only_our_plugins(),
        ):
            listener = Listener(expected, progress)
            code = int(pytest.main(words, plugins=[listener]))
        if listener.record is None:
            sys.stderr.write(log.read_text("utf-8"))
    return listener, code


@contextlib.contextmanager
def _only_our_plugins() -> Iterator[None]:
    """Keeps other installed pytest plugins (xdist, coverage, ...) out of the measurement."""
    before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        else:
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = before


def _check_results_folder(results: Path) -> str | None:
    """Why the results cannot be written there, found out before a minute is spent on measuring."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            return None
    except OSError as error:
        return f"results folder {results} cannot be written ({error.strerror}); choose another with --results"


def _finish(console: Console, listener: Listener, code: int) -> int:
    from bench.report.terminal import show

    if listener.record is None:
        return _fail("nothing was measured", BROKEN)
    show(listener.record, console, listener.elsewhere)
    folder = listener.folder
    console.print(f"took {duration(listener.record.duration_seconds)}; report: {folder}/report.html", soft_wrap=True)
    for failure in listener.failures:
        _fail(failure, BROKEN)
    if listener.record.partial:
        return _fail("interrupted: the report holds what was measured by then", BROKEN)
    return DONE if code == pytest.ExitCode.OK else BROKEN


def _fail(message: str, code: int) -> int:
    print(f"fcnn-bench: {message}", file=sys.stderr)
    return code
