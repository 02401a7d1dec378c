"""The main job: plan, measure in rounds with progress, write the results folder, then show what is in it."""

from __future__ import annotations

import collections
import contextlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bench import console, interruption
from bench.axes.case import Case
from bench.axes.devices import see_again
from bench.errors import BROKEN, DONE, USAGE, BenchError
from bench.record import files, store
from bench.record.folding import folded
from bench.record.journal import JOURNAL_FILE, Journal, of_kind
from bench.record.model import Record
from bench.report.units import duration
from bench.suite import header, history, saving, session
from bench.suite.plan import Plan
from bench.suite.session import Session
from bench.text import counted
from bench.workers.start import Workers

ENDED = "this run has come to its end"
RESUMED = (
    "cases",
    "machine",
    "dataset",
    "commit",
    "program",
    "own_program",
)  # of the header, what must be the same to go on


def run(options: Mapping[str, Any], plan: str, words: Sequence[str]) -> int:
    """Measures the cases that `options` choose and writes the results folder; the exit code.

    Args:
        options: Values as `bench.axes.matrix` names them.
        plan: The plan whose cases and time limit count where `options` choose none.
        words: The command line, to be recorded.
    """
    terminal = console.make()
    files.check_writable(options["results"], "--results")
    with files.ignored_by_git(options["results"]), session.workers_of(options) as workers:
        with console.working(terminal) as say:
            say("looking at the machine and the images")
            surveyed = header.survey(workers, options, plan)
        possible = surveyed.possible
        if not possible:
            raise BenchError(f"nothing to measure: {next(iter(surveyed.facts['impossible'].values()))}")
        _show_plan(terminal, surveyed.cases, possible, surveyed.plan.seconds, surveyed.facts["dataset"]["label"])
        command = shlex.join(surveyed.plan.effort.added_to(["fcnn-bench", *words], surveyed.plan.shares))
        first = header.first_line(surveyed, command, options["dataset"], options.get("program"))
        with contextlib.closing(Run(*saving.begin(first, options["results"]), surveyed.plan)) as begun:
            return _go_on(workers, begun, options["results"], terminal)


def resume(folder: Path, options: Mapping[str, Any]) -> int:
    """Goes on with the run whose folder is given; the exit code.

    Raises:
        BenchError: There is no journal, another run is writing it, it has ended, or the machine, the images or the
            program are no longer those of the run.
    """
    terminal = console.make()
    if (folder / store.RECORD_FILE).exists() and not (folder / JOURNAL_FILE).exists():
        raise BenchError(f"{folder}: {ENDED}: fcnn-bench report {folder}", USAGE)
    journal = Journal.reopen(folder / JOURNAL_FILE)
    first = journal.lines[0]
    with contextlib.closing(Run(folder, journal, header.plan_of(first))) as begun:
        if of_kind(journal.lines, "end"):
            raise BenchError(f"{folder}: {ENDED}: fcnn-bench report {folder}", USAGE)
        see_again(first.get("visible_gpus"))
        with session.workers_of({**options, **first["asked"]}) as workers:
            with console.working(terminal) as say:
                say("looking at the machine and the images")
                now = header.again(workers, first)
            for name in RESUMED:
                if now[name] != first[name]:
                    raise BenchError(
                        f"{folder}: the run cannot go on: its {name.replace('_', ' ')} is not the same any more", USAGE
                    )
            terminal.print(Text.assemble(("fcnn-bench", "bold"), f"  goes on with {folder}"), soft_wrap=True)
            return _go_on(workers, begun, folder.parent.parent, terminal)


@dataclass(frozen=True)
class Run:
    """A run that has begun: its folder, its journal and its plan."""

    folder: Path
    journal: Journal
    plan: Plan

    def close(self) -> None:
        """Lets others open the journal."""
        self.journal.close()


def _go_on(workers: Workers, run: Run, results: Path, terminal: Console) -> int:
    """Measures what the journal lacks, then writes the record and the report; the exit code."""
    stands = None
    try:
        with interruption.deferred():  # from the first case until the record stands
            with contextlib.suppress(KeyboardInterrupt), interruption.allowed():  # what is missing is on the record
                _measure(workers, run, terminal)
            stands = _save(run, results)
        problems = _report(*stands, results, terminal)
    except KeyboardInterrupt:
        if stands is None:
            raise
        problems = [f"interrupted: the record is whole, the report is not: fcnn-bench report {stands[1]}"]
    return _exit_code(run, *stands, problems)


def _show_plan(
    terminal: Console, planned: Mapping[str, Case], possible: Mapping[str, Case], seconds: float, label: str
) -> None:
    terminal.print(Text.assemble(("fcnn-bench", "bold"), f"  {label}"), soft_wrap=True)
    for device in dict.fromkeys(case.device for case in possible.values()):
        counts = collections.Counter(case.workload for case in possible.values() if case.device == device)
        terminal.print(f"  {device:6}" + ", ".join(f"{count} × {workload}" for workload, count in counts.items()))
    skipped = len(planned) - len(possible)
    note = f"; {skipped} more cannot run here, the report says why" if skipped else ""
    expected = (duration(seconds), "bold")
    terminal.print(Text.assemble(f"  {counted(len(possible), 'case')}, expected time ", expected, f"{note}\n"))


def _measure(workers: Workers, run: Run, terminal: Console) -> None:
    """The rounds, with a bar that moves between them."""
    with console.Bar(terminal, run.plan.seconds) as bar:

        def say(what: str, done_seconds: float) -> None:
            bar.show(what, f"about {duration(max(0.0, run.plan.seconds - done_seconds))} left", done_seconds)

        Session(workers, run.journal, run.plan, say).measure()
        interruption.check()


def _save(run: Run, results: Path) -> tuple[Record, Path]:
    """The record and the folder that has it; raises BenchError if nothing was measured."""
    record = history.with_history(folded(run.journal.lines), results)
    if not record.measurements:
        reasons = [u.reason for u in record.unmeasured if u.kind != "impossible"]
        saving.discard(run.journal, run.folder)
        raise BenchError(f"nothing was measured: {reasons[0]}")
    return record, saving.save(record, run.journal, run.folder)


def _report(record: Record, folder: Path, results: Path, terminal: Console) -> list[str]:
    """Draws the report and shows it; what failed, a line each."""
    from bench.report.terminal import show

    elsewhere = saving.elsewhere(results, record)
    problems = saving.draw([record, *elsewhere], folder)
    show(record, terminal, elsewhere)
    terminal.print(f"took {duration(record.duration_seconds)}; report: {folder}/report.html", soft_wrap=True)
    return problems


def _exit_code(run: Run, record: Record, folder: Path, problems: list[str]) -> int:
    """Says what failed and what is missing."""
    failures = [f"{u.id}: {u.reason}" for u in record.unmeasured if u.kind == "failed"]
    failures += [line["what"] for line in of_kind(run.journal.lines, "problem")]
    if run.journal.problem:
        failures.append(run.journal.problem)
    if record.partial:
        total = sum(u.kind != "impossible" for u in record.unmeasured) + len(record.measurements)
        missing = len(session.missing(record))
        what = f"{missing} of {counted(total, 'case')} {'is' if missing == 1 else 'are'} missing"
        what = what if missing else "some rounds or accounts are missing"
        stopped = "interrupted: " * (not of_kind(run.journal.lines, "problem"))
        problems.append(f"{stopped}{what}; the report holds the others; to go on: fcnn-bench run --resume {folder}")
    for line in (*failures, *problems):
        console.error(line)
    return BROKEN if failures or problems else DONE
