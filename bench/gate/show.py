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
from rich.table import Table
from rich.text import Text

from bench.gate.decide import FAIL, INCONCLUSIVE, PASS
from bench.gate.outcome import ERROR, Check, Outcome

STYLES = {PASS: "green", FAIL: "bold red", INCONCLUSIVE: "yellow", ERROR: "bold red"}
MEANINGS = {
    PASS: "no slowdown, no changed count and no loss of accuracy",
    FAIL: "this change makes training worse",
    INCONCLUSIVE: "neither a slowdown is shown nor its absence: run it again, or on a quieter machine",
    ERROR: "something was not measured, and what is not measured does not pass",
}
MARKS = {PASS: "✅", FAIL: "❌", INCONCLUSIVE: "❔", ERROR: "⚠️"}


def show(check: Check, console: Console) -> None:
    """Prints a line an outcome, with what changed below it."""
    table = Table("gate", "case", "verdict", "why", box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for outcome in check.outcomes:
        why = Text("\n".join([outcome.reason, *(line for line in outcome.lines if line != outcome.reason)]))
        table.add_row(outcome.gate, Text(outcome.case), Text(outcome.verdict, style=STYLES[outcome.verdict]), why)
    console.print(table)
    console.print()
    verdict = Text(check.verdict, style=STYLES[check.verdict])
    console.print(verdict, f"against {check.against} in {check.seconds:.0f} s: {MEANINGS[check.verdict]}")


def markdown(check: Check) -> str:
    """The check as Markdown."""
    lines = [
        f"## {MARKS[check.verdict]} fcnn-bench check: {check.verdict}",
        "",
        f"{MEANINGS[check.verdict].capitalize()}. Against `{check.against}`, on {check.machine}, with "
        f"{check.dataset}, in {check.seconds:.0f} s. A slowdown of {check.bound_fraction:.0%} must not pass.",
        "",
        "| gate | case | verdict | why |",
        "|---|---|---|---|",
    ]
    for outcome in check.outcomes:
        why = "<br>".join([outcome.reason, *(line for line in outcome.lines if line != outcome.reason)])
        cells = (outcome.gate, f"`{outcome.case}`", f"{MARKS[outcome.verdict]} {outcome.verdict}", why)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def as_json(check: Check) -> str:
    """The check with every raw value."""
    data = {**dataclasses.asdict(check), "verdict": check.verdict, "exit_code": check.exit_code}
    return json.dumps(_finite(data), indent=1, allow_nan=False) + "\n"


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
            ElementTree.SubElement(case, kinds[outcome.verdict], message=outcome.reason).text = "\n".join(outcome.lines)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def smaller_is_better(check: Check) -> str:
    """The candidate's times for github-action-benchmark (`customSmallerIsBetter`)."""
    found = [
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
    return json.dumps(found, indent=1) + "\n"


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
    """Writes the files into `folder`, each whole or not at all, and appends to GITHUB_STEP_SUMMARY where it is set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        partial = folder / f".{name}.partial"
        partial.write_text(text(check), "utf-8")
        partial.replace(folder / name)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(markdown(check))
