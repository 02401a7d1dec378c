"""A profile on the terminal, and profile.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from bench.profile import sentences, tables
from bench.profile.against import Difference
from bench.profile.model import Profile
from bench.profile.plain import markdown_table, plain_texts
from bench.report.plot import Plot
from bench.text import markdown as text


def show(profile: Profile, against: Difference | None, console: Console) -> None:
    """Prints the sentences and the hot spots, and the difference if there is one."""
    profile, against = plain_texts((profile, against))
    for sentence in _first(profile, against):
        console.print(sentence)
    console.print()
    headings, rows = tables.operator_rows(profile.operators, profile.cost.unprofiled_seconds)
    narrow = [number for number, heading in enumerate(headings) if heading not in ("FLOPs", "Allocates")]
    _print(
        console,
        [headings[n] for n in narrow],
        [[*(row[n] for n in narrow[:-1]), row[-1].split(" ")[0]] for row in rows],
    )
    if against:
        console.print()
        console.print(sentences.difference_sentence(against))
        _print(console, *tables.difference_rows(against, phases=False))
    for name, reason in profile.missing.items():
        console.print(f"no {name}: {reason}")


def _first(profile: Profile, against: Difference | None) -> list[str]:
    """What is said before any table, a disturbance before all else."""
    disturbance = sentences.disturbance(profile, against)
    return [*([disturbance] if disturbance else []), *sentences.summary(profile), sentences.trust(profile)]


def markdown(profile: Profile, against: Difference | None, pictures: Sequence[Plot]) -> str:
    """profile.md; `pictures` lie beside the trace, and those that could not be drawn have their reasons here."""
    profile, against = plain_texts((profile, against))
    step = profile.cost.unprofiled_seconds
    disturbance = sentences.disturbance(profile, against)
    lines = [
        f"# Where the time of {text(profile.source)} goes",
        "",
        *([f"> **Note.** {text(disturbance)}", ""] if disturbance else []),
        text(f"On {profile.machine}, torch {profile.torch}, with {profile.dataset}."),
        "",
        *([*map(text, summary), ""] if (summary := sentences.summary(profile)) else []),
        text(sentences.trust(profile)),
        "",
        "## Parts of a step",
        "",
        _table(*tables.phase_rows(profile)),
        "",
        "## Hot spots",
        "",
        _table(*tables.operator_rows(profile.operators, step)),
        "",
        "## Lines",
        "",
        _table(*tables.line_rows(profile)),
        "",
        "## Memory",
        "",
        *map(text, sentences.memory_sentences(profile)),
        "",
        _table(*tables.memory_rows(profile)),
    ]
    if profile.kernels:
        lines += ["", "## Kernels", "", _table(*tables.kernel_rows(profile)), "", _table(*tables.gap_rows(profile))]
    if profile.compiled:
        lines += ["", "## Compiled code", "", *[f"* {text(line)}" for line in sentences.compiled_lines(profile)]]
    if against:
        lines += ["", "## The difference", "", text(sentences.difference_sentence(against)), ""]
        lines += [
            _table(*tables.difference_rows(against, phases=True)),
            "",
            _table(*tables.difference_rows(against, phases=False)),
        ]
    missing = {**profile.missing, **{f"picture of {plot.name}": plot.problem for plot in pictures if plot.problem}}
    lines += ["", *[text(f"No {name}: {reason}.") for name, reason in missing.items()]]
    return "\n".join(lines).rstrip() + "\n"


def _print(console: Console, headings: list[str], rows: list[list[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if tables.numeric(rows, number) else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "Operator")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _table(headings: list[str], rows: list[list[str]]) -> str:
    aligned = ["right" if tables.numeric(rows, number) else "left" for number in range(len(headings))]
    return markdown_table(headings, rows, aligned)
