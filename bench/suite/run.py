"""The main job: plan, measure case by case with progress, write the results folder, then show what is in it."""

from __future__ import annotations

import collections
import contextlib
import io
import shlex
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bench import console, interruption
from bench.axes import matrix
from bench.axes.case import Case, case_id, why_impossible
from bench.errors import BROKEN, DONE, BenchError, reason_of
from bench.record import files
from bench.record.model import Record
from bench.report.units import duration
from bench.suite import saving
from bench.suite.expected import fit, overhead_seconds
from bench.suite.images import images
from bench.suite.session import Session
from bench.text import counted


def run(options: dict[str, Any], plan: str, words: Sequence[str]) -> int:
    """Measures the cases that `options` choose and writes the results folder; the exit code.

    Args:
        options: Values as `bench.axes.matrix` names them.
        plan: The plan whose cases and time limit count where `options` choose none.
        words: The command line, to be recorded.
    """
    terminal = console.make()
    files.check_writable(options["results"], "--results")
    found = images(options["dataset"], options["data"])
    planned = {case_id(case): case for case in matrix.cases(options, plan)}
    reasons = {id: why_impossible(case, len(found.train)) for id, case in planned.items()}
    possible = {id: case for id, case in planned.items() if not reasons[id]}
    if not possible:
        raise BenchError(f"nothing to measure: {next(iter(reasons.values()))}")
    effort, expected = fit(possible, found, options, plan)
    overhead = overhead_seconds(len({case.device for case in possible.values()}))
    _show_plan(terminal, planned, possible, sum(expected.values()) + overhead, found.label)
    command = shlex.join(["fcnn-bench", *words, *effort.words()])
    session = Session(images=found, dataset=options["dataset"], planned=planned, effort=effort, command=command)
    log, stands = Log(), None
    try:
        with interruption.deferred():  # from the first case until the record stands
            with contextlib.suppress(KeyboardInterrupt), interruption.allowed():  # what is missing is on the record
                _measure(session, terminal, expected, log)
            stands = _save(session, options["results"], log)
        problems = _report(*stands, options["results"], terminal)
    except KeyboardInterrupt:
        if stands is None:
            raise
        problems = [f"interrupted: the record is whole, the report is not: fcnn-bench report {stands[1]}"]
    return _exit_code(session, stands[0], problems)


class Log(io.StringIO):
    """What happens during a run, with the time of day; what libraries print meanwhile ends up here too."""

    def note(self, text: str) -> None:
        """Adds a line or more."""
        self.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _show_plan(
    terminal: Console, planned: dict[str, Case], possible: dict[str, Case], seconds: float, label: str
) -> None:
    terminal.print(Text.assemble(("fcnn-bench", "bold"), f"  {label}"), soft_wrap=True)
    for device in dict.fromkeys(case.device for case in possible.values()):
        counts = collections.Counter(case.workload for case in possible.values() if case.device == device)
        terminal.print(f"  {device:6}" + ", ".join(f"{count} × {workload}" for workload, count in counts.items()))
    skipped = len(planned) - len(possible)
    note = f"; {skipped} more cannot run here, the report says why" if skipped else ""
    expected = (duration(seconds), "bold")
    terminal.print(Text.assemble(f"  {counted(len(possible), 'case')}, expected time ", expected, f"{note}\n"))


def _measure(session: Session, terminal: Console, expected: dict[str, float], log: Log) -> None:
    """All planned cases in their order, the steps first; a case that raises is noted and the next one has its turn."""
    left = dict(expected)
    with (
        console.Bar(terminal, sum(expected.values())) as bar,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        session.calibrate()
        for id in session.planned:
            interruption.check()
            if session.impossible(id):
                continue
            seconds_left = sum(left.values())
            bar.show(id, f"about {duration(seconds_left)} left", sum(expected.values()) - seconds_left)
            try:
                measurement = session.run(id)
                log.note(
                    f"{id}: {len(measurement.samples_seconds)} samples {' '.join(f.name for f in measurement.flags)}"
                )
            except (Exception, SystemExit) as error:  # a program that exits has failed
                log.note(f"{id}: {reason_of(error)}\n{traceback.format_exc()}")
            left.pop(id, None)
        interruption.check()
        session.calibrate()


def _save(session: Session, results: Path, log: Log) -> tuple[Record, Path]:
    """The record and the folder that has it; raises BenchError if nothing was measured."""
    record = session.record()
    if not session.measurements:
        reasons = [u.reason for u in record.unmeasured if u.kind != "impossible"]
        raise BenchError(f"nothing was measured: {reasons[0]}")
    return record, saving.save(record, results, log.getvalue())


def _report(record: Record, folder: Path, results: Path, terminal: Console) -> list[str]:
    """Draws the report and shows it; what failed, a line each."""
    from bench.report.terminal import show

    elsewhere = saving.elsewhere(results, record)
    problems = saving.draw([record, *elsewhere], folder)
    show(record, terminal, elsewhere)
    terminal.print(f"took {duration(record.duration_seconds)}; report: {folder}/report.html", soft_wrap=True)
    return problems


def _exit_code(session: Session, record: Record, problems: list[str]) -> int:
    """Says what failed and what is missing."""
    failures = [f"{u.id}: {u.reason}" for u in record.unmeasured if u.kind == "failed"]
    if missing := session.missing():
        total = sum(u.kind != "impossible" for u in record.unmeasured) + len(record.measurements)
        verb = "is" if len(missing) == 1 else "are"
        problems.append(
            f"interrupted: {len(missing)} of {counted(total, 'case')} {verb} missing; the report holds the others"
        )
    for line in (*failures, *problems):
        console.error(line)
    return BROKEN if failures or problems else DONE
