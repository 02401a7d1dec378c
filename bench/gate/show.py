"""A check for people and for CI: terminal, check.md, check.json, JUnit XML, and github-action-benchmark's format."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import statistics
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bench.gate.decide import FAIL, INCONCLUSIVE, PASS
from bench.gate.outcome import ERROR, SHOWN, Check, Outcome
from bench.record import files
from bench.table import NAME, PROSE, WORDS, Column, Table, TableText, as_markdown, on_terminal
from bench.text import code, one_line, plain
from bench.text import markdown as markdown_text

STYLES = {PASS: "green", FAIL: "bold red", INCONCLUSIVE: "yellow", ERROR: "bold red", SHOWN: "cyan"}
# What a pass of each gate shows, a failure, and neither.
ASKED = {
    "counts": ("no changed count", "counts have changed", ""),
    "timing": ("no slowdown", "training is slower",
               "neither a slowdown is shown nor its absence: run it again, or on a quieter machine"),
    "accuracy": ("no change of accuracy", "the accuracy has changed",
                 "neither a loss of accuracy is shown nor its absence"),
}  # fmt: skip
MEANINGS = {
    ERROR: "something was not measured, and what is not measured does not pass",
    SHOWN: "nothing was judged",
}
MARKS = {PASS: "✅", FAIL: "❌", INCONCLUSIVE: "❔", ERROR: "⚠️", SHOWN: "📋"}


def meaning(check: Check) -> str:
    """What the verdict says, of the gates that ran and of no other."""
    if check.verdict == PASS:
        shown = [ASKED[gate][0] for gate in check.gates if check.judged(gate)]
        return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
    if check.verdict in (FAIL, INCONCLUSIVE):
        gates = dict.fromkeys(outcome.gate for outcome in check.outcomes if outcome.verdict == check.verdict)
        return " and ".join(ASKED[gate][1 if check.verdict == FAIL else 2] for gate in gates)
    return MEANINGS[check.verdict]


def notes(check: Check) -> list[str]:
    """What else is to be said of the check as a whole: which gates did not run, and what ran beside it."""
    left_out = [gate for gate in ASKED if gate not in check.gates]
    notices = [f"Not checked: {', '.join(left_out)}."] if left_out else []
    return notices + ([f"{check.beside[0].upper()}{check.beside[1:]}."] if check.beside else [])


def show(check: Check, console: Console) -> None:
    """Prints one line per outcome, with what changed below it."""
    for note in notes(check):
        console.print(note)
    console.print(on_terminal(table(check, lambda verdict: Text(verdict, style=STYLES[verdict]))))
    console.print()
    if check.environment:
        console.print(on_terminal(environments(check)))
        console.print()
    verdict = Text(check.verdict, style=STYLES[check.verdict])
    console.print(verdict, f"against {check.against} in {check.seconds:.0f} s: {meaning(check)}")


def table(check: Check, verdict: Callable[[str], TableText]) -> Table:
    """A row an outcome, with what shows its verdict."""
    rows = [[one.gate, one.case, verdict(one.verdict), "\n".join(sentences(one))] for one in check.outcomes]
    return Table.of(["gate", "case", "verdict", "why"], rows, gate=WORDS, case=NAME, verdict=WORDS, why=PROSE)


def environments(check: Check) -> Table:
    """A row for what differs between the environments of the two sides."""
    rows = [list(map(one_line, row)) for row in check.differing]
    columns = [Column("what differs", WORDS), Column("reference", PROSE), Column("candidate", PROSE)]
    return Table(columns, rows or [["nothing that was looked at", "", ""]])


def sentences(outcome: Outcome) -> list[str]:
    """The reason and what else there is to say, each on one line, whatever a program's message holds."""
    return list(dict.fromkeys(map(one_line, [outcome.reason, *outcome.lines])))


def markdown(check: Check) -> str:
    """The check as Markdown."""
    where = f"Against {code(check.against)}, on {markdown_text(check.machine)}, with {markdown_text(check.dataset)}"
    headline = f"{meaning(check).capitalize()}. {where}, in {check.seconds:.0f} s."
    bound = f" A slowdown of {100 * check.bound_fraction:g}% must not pass." if "timing" in check.gates else ""
    lines = [
        f"## {MARKS[check.verdict]} fcnn-bench check: {check.verdict}",
        "",
        headline + bound,
        *(part for note in notes(check) for part in ("", markdown_text(note))),
        "",
        as_markdown(table(check, lambda verdict: f"{MARKS[verdict]} {verdict}")),
        *(["", as_markdown(environments(check))] if check.environment else []),
    ]
    return "\n".join(lines) + "\n"


def as_json(check: Check) -> str:
    """The check with every raw value."""
    data = {**dataclasses.asdict(check), "verdict": check.verdict, "exit_code": check.exit_code}
    return json.dumps(_finite(data), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: object) -> object:
    """The same with None for infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def junit(check: Check) -> str:
    """JUnit XML: a test case an outcome; inconclusive ones are skipped, since they have shown nothing."""
    verdicts = [outcome.verdict for outcome in check.outcomes]
    suite = ElementTree.Element(
        "testsuite",
        name="fcnn-bench check",
        tests=str(len(verdicts)),
        failures=str(verdicts.count(FAIL)),
        errors=str(verdicts.count(ERROR)),
        skipped=str(verdicts.count(INCONCLUSIVE)),
        time=f"{check.seconds:.3f}",
    )
    kinds = {FAIL: "failure", ERROR: "error", INCONCLUSIVE: "skipped"}
    for outcome in check.outcomes:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"fcnn-bench.{outcome.gate}", name=outcome.case, time=f"{outcome.seconds:.3f}"
        )
        if outcome.verdict in kinds:
            element = ElementTree.SubElement(case, kinds[outcome.verdict], message=one_line(outcome.reason))
            element.text = "\n".join(map(plain, outcome.lines))
    ElementTree.indent(suite)
    # Not declared by tostring, which would name this system's own encoding; the file is UTF-8.
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{head}\n{ElementTree.tostring(suite, encoding='unicode')}\n"


def smaller_is_better(check: Check) -> str:
    """The candidate's times for github-action-benchmark (`customSmallerIsBetter`)."""
    entries = [
        {
            "name": outcome.case,
            "unit": "s",
            "value": statistics.median(medians),
            "range": f"{min(medians):.3g} to {max(medians):.3g}",
            "extra": f"{outcome.verdict}: {outcome.reason}",
        }
        for outcome in check.outcomes
        if (medians := _candidate_medians(outcome))
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _candidate_medians(outcome: Outcome) -> list[float]:
    pairs = [pair for stage in ("screening", "confirmation") for pair in outcome.raw.get(stage, [])]
    return [statistics.median(pair["candidate_seconds"]) for pair in pairs]


FILES: dict[str, Callable[[Check], str]] = {
    "check.md": markdown,
    "check.json": as_json,
    "junit.xml": junit,
    "smaller-is-better.json": smaller_is_better,
}


def write(check: Check, folder: Path) -> None:
    """Writes the files into `folder`, each whole or not at all; raises BenchError."""
    for name, text in FILES.items():
        files.write(folder / name, text(check))


def summarise_for_ci(check: Check) -> str | None:
    """Appends to GITHUB_STEP_SUMMARY where it is set; why that did not work, if it did not."""
    if not (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        return None
    try:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(plain(markdown(check)))
    except OSError as error:
        return f"the job's summary {summary} cannot be written: {files.why(error)}"
    return None
