"""A profile on the terminal, and profile.md."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from bench.profile import sentences, tables
from bench.profile.against import ProfileDifference
from bench.profile.model import Profile
from bench.profile.plain import plain_texts
from bench.report.plot import Plot
from bench.table import Table, as_markdown, on_terminal
from bench.text import markdown as text


def show(profile: Profile, against: ProfileDifference | None, console: Console) -> None:
    """Prints the sentences and the hot spots, and the difference if there is one."""
    profile, against = plain_texts((profile, against))
    for sentence in _first(profile, against):
        console.print(sentence)
    console.print()
    hot_spots = tables.hot_spots(profile).without("FLOPs", "Allocates")
    # Of a line's name, the file and the number.
    short = Table(hot_spots.columns, [[*row[:-1], str(row[-1]).split(" ")[0]] for row in hot_spots.rows])
    console.print(on_terminal(short))
    if against:
        console.print()
        console.print(sentences.difference_sentence(against))
        console.print(on_terminal(tables.changes(against, phases=False)))
    for name, reason in profile.missing.items():
        console.print(f"no {name}: {reason}")


def _first(profile: Profile, against: ProfileDifference | None) -> list[str]:
    """What is said before any table, a disturbance before all else."""
    disturbance = sentences.disturbance(profile, against)
    return [*([disturbance] if disturbance else []), *sentences.summary(profile), sentences.trust(profile)]


def markdown(profile: Profile, against: ProfileDifference | None, pictures: Sequence[Plot]) -> str:
    """profile.md; `pictures` lie beside the trace, and those that could not be drawn have their reasons here."""
    profile, against = plain_texts((profile, against))
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
        as_markdown(tables.parts(profile)),
        "",
        "## Hot spots",
        "",
        as_markdown(tables.hot_spots(profile)),
        "",
        "## Lines",
        "",
        as_markdown(tables.lines(profile)),
        "",
        "## Memory",
        "",
        *map(text, sentences.memory_sentences(profile)),
        "",
        as_markdown(tables.holders(profile)),
    ]
    if profile.kernels:
        lines += [
            "",
            "## Kernels",
            "",
            as_markdown(tables.kernels(profile)),
            "",
            as_markdown(tables.gaps(profile)),
        ]
    if profile.compiled:
        lines += ["", "## Compiled code", "", *[f"* {text(line)}" for line in sentences.compiled_lines(profile)]]
    if against:
        lines += ["", "## The difference", "", text(sentences.difference_sentence(against)), ""]
        lines += [
            as_markdown(tables.changes(against, phases=True)),
            "",
            as_markdown(tables.changes(against, phases=False)),
        ]
    missing = {**profile.missing, **{f"picture of {plot.name}": plot.problem for plot in pictures if plot.problem}}
    lines += ["", *[text(f"No {name}: {reason}.") for name, reason in missing.items()]]
    return "\n".join(lines).rstrip() + "\n"
