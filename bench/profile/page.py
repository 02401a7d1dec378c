"""profile.html: one file, works offline, no script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.errors import reason_of
from bench.profile import flame, sentences, tables
from bench.profile.against import ProfileDifference
from bench.profile.model import Profile
from bench.profile.plain import plain_texts
from bench.report import template
from bench.report.plot import SERIES, Plot, for_page
from bench.table import Table, on_page
from bench.text import counted

LEAST_SHARE = 0.001  # of all samples; below, a stack is left out of the picture


def pictures(profile: Profile) -> list[Plot]:
    """The flame graphs and the timeline of memory; none of what there are no samples of.

    One that cannot be drawn costs no other, and has its reason in its place.
    """
    profile = plain_texts(profile)
    drawn: list[tuple[str, str, Callable[[Profile, str], str]]] = [
        ("python", "Python stacks by samples", _python_flames),
        ("operators", "Operators by time", lambda profile, label: flame.svg(profile.operator_stacks, label)),
        ("memory", "Memory by category over two steps", _timeline),
    ]
    made = [_picture(name, label, draw, profile) for name, label, draw in drawn]
    return [plot for plot in made if plot.svg or plot.problem]


def _picture(name: str, label: str, draw: Callable[[Profile, str], str], profile: Profile) -> Plot:
    try:
        return Plot(name, label, draw(profile, label))
    except Exception as error:
        return Plot(name, label, "", f"it could not be drawn: {reason_of(error)}")


def _python_flames(profile: Profile, label: str) -> str:
    total = sum(profile.python_stacks.values())
    seen = {stack: float(count) for stack, count in profile.python_stacks.items() if count / total >= LEAST_SHARE}
    return flame.svg(seen, label) if seen else ""


def _timeline(profile: Profile, label: str) -> str:
    """Bytes by category over two steps, stacked."""
    memory = profile.memory
    names = [name for name, values in memory.category_bytes.items() if any(values) and name != "other"]
    if not memory.seconds or not names:
        return ""
    from bench.report import drawing  # here, since matplotlib may not be importable

    with drawing.rc():
        figure, axes = drawing.figure(3.0)
        values = [[count / 2**20 for count in memory.category_bytes[name]] for name in names]
        colours = [SERIES[number % len(SERIES)] for number in range(len(names))]
        axes.stackplot(
            [1e3 * at for at in memory.seconds], values, labels=names, colors=colours, alpha=0.85, step="post"
        )
        axes.set_xlabel("ms, two steps, slowed by the profiler")
        axes.set_ylabel("MiB alive")
        figure.legend(loc="outside right upper")
        return drawing.svg(figure, "memory")


@dataclass(frozen=True)
class Section:
    """A section of the page; `picture` is the name of one."""

    name: str
    title: str
    sentences: list[str]
    picture: str = ""
    tables: tuple[Table, ...] = ()


def page(profile: Profile, against: ProfileDifference | None, drawn: Sequence[Plot]) -> str:
    """The whole page; `drawn` are `pictures` of the same profile."""
    profile, against = plain_texts((profile, against))
    return template.render(
        "bench.profile",
        profile=profile,
        disturbance=sentences.disturbance(profile, against),
        summary=sentences.summary(profile),
        trust=sentences.trust(profile),
        on_page=on_page,
        sections=[section for section in _sections(profile, against) if section],
        pictures={plot.name: plot for plot in drawn},
        inlined={plot.name: Markup(_inlined(plot)) for plot in drawn if plot.svg},
    )


def _inlined(plot: Plot) -> str:
    # A flame graph is as wide as its frames; what matplotlib has drawn takes the page's size and colours.
    return for_page(plot.svg, plot.label) if plot.name == "memory" else plot.svg


def _sections(profile: Profile, against: ProfileDifference | None) -> list[Section | None]:
    return [
        _difference(profile, against),
        Section("parts", "Parts of a step", ["As measured without a profiler, and as the trace has them."],
              tables=(tables.parts(profile),)),
        _python(profile),
        Section("hotspots", "Hot spots",
              ["Operators by their own time, those that they call taken out."],
              tables=(tables.hot_spots(profile),)),
        Section("lines", "Lines of the program", ["Operators' own time by the line of fcnn that caused it."],
              tables=(tables.lines(profile),)),
        Section("operators", "Operators as a flame graph",
              ["Width is time, the part of the step at the top, callers above what they call."],
              "operators"),
        _device(profile),
        _memory(profile),
        _compiled(profile),
        Section("trace", "The trace", [
            f"traces/{profile.trace_file} ({sentences.size(profile.trace_bytes)}, {counted(profile.steps, 'step')}) "
            "opens in ui.perfetto.dev and in chrome://tracing; the parts of a step are named ranges in it."]),
    ]  # fmt: skip


def _difference(profile: Profile, difference: ProfileDifference | None) -> Section | None:
    if difference is None:
        reason = profile.missing.get("comparison")
        return Section("difference", "The difference", [f"Not here: {reason}."]) if reason else None
    rows = (tables.changes(difference, phases=True), tables.changes(difference, phases=False))
    return Section("difference", "The difference", [sentences.difference_sentence(difference)], tables=rows)


def _python(profile: Profile) -> Section:
    if not profile.python_stacks:
        return Section(
            "python", "The Python side", [f"Not here: {profile.missing.get('python', 'no sample was taken')}."]
        )
    total = sum(profile.python_stacks.values())
    caption = f"{total:,} samples by py-spy, without a profiler; width is share, callers above what they call."
    if profile.python_torn:
        caption += " py-spy did not come back from stopping the program, so it ran on: a few stacks are of two moments."
    return Section("python", "The Python side", [caption], "python")


def _device(profile: Profile) -> Section | None:
    if not profile.kernels:
        return None
    return Section("kernels", "On the device", ["Kernels and copies by time, and the gaps between them."],
                 tables=(tables.kernels(profile), tables.gaps(profile)))  # fmt: skip


def _memory(profile: Profile) -> Section:
    return Section("memory", "Memory", sentences.memory_sentences(profile), "memory", (tables.holders(profile),))


def _compiled(profile: Profile) -> Section | None:
    if profile.compiled:
        return Section("compiled", "Compiled code", sentences.compiled_lines(profile))
    if reason := profile.missing.get("compiled"):
        return Section("compiled", "Compiled code", [f"Not here: {reason}."])
    return None
