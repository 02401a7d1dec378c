"""A profile on the terminal, and profile.md."""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from bench.profile import sentences, tables
from bench.profile.against import Difference
from bench.profile.model import Profile


def show(profile: Profile, against: Difference | None, console: Console) -> None:
    """Prints the sentences and the hot spots, and the difference if there is one."""
    for sentence in [*sentences.summary(profile), sentences.trust(profile)]:
        console.print(sentence, markup=False)
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
        console.print(sentences.difference_sentence(against), markup=False)
        _print(console, *tables.difference_rows(against, phases=False))
    for name, reason in profile.missing.items():
        console.print(f"no {name}: {reason}", markup=False)


def markdown(profile: Profile, against: Difference | None) -> str:
    """profile.md."""
    step = profile.cost.unprofiled_seconds
    lines = [
        f"# Where the time of {profile.source} goes",
        "",
        f"On {profile.machine}, torch {profile.torch}, with {profile.dataset}.",
        "",
        *sentences.summary(profile),
        "",
        sentences.trust(profile),
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
        *sentences.memory_sentences(profile),
        "",
        _table(*tables.memory_rows(profile)),
    ]
    if profile.kernels:
        lines += ["", "## Kernels", "", _table(*tables.kernel_rows(profile)), "", _table(*tables.gap_rows(profile))]
    if profile.compiled:
        lines += ["", "## Compiled code", "", *[f"* {text}" for text in sentences.compiled_lines(profile)]]
    if against:
        lines += ["", "## The difference", "", sentences.difference_sentence(against), ""]
        lines += [
            _table(*tables.difference_rows(against, phases=True)),
            "",
            _table(*tables.difference_rows(against, phases=False)),
        ]
    lines += ["", *[f"No {name}: {reason}." for name, reason in profile.missing.items()]]
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
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    aligned = tuple("right" if tables.numeric(rows, number) else "left" for number in range(len(headings)))
    return tabulate(
        cells, headers=headings, tablefmt="github", colalign=aligned if rows else None, disable_numparse=True
    )
