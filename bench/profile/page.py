"""profile.html: one file, works offline, no script."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from bench.profile import flame, sentences, tables
from bench.profile.against import Difference
from bench.profile.model import Profile
from bench.report import drawing, template

LEAST_SHARE = 0.001  # of all samples; below, a stack is left out of the picture


def pictures(profile: Profile) -> dict[str, str]:
    """The flame graphs as SVG, by name; no picture of what there are no samples of."""
    total = sum(profile.python_stacks.values())
    python = {stack: float(count) for stack, count in profile.python_stacks.items() if count / total >= LEAST_SHARE}
    found = {"python": flame.svg(python, "Python stacks by samples")} if python else {}
    return {**found, "operators": flame.svg(profile.operator_stacks, "Operators by time")}


@dataclass(frozen=True)
class Block:
    """A section of the page."""

    name: str
    title: str
    sentences: list[str]
    picture: Markup | None = None
    tables: tuple[tuple[list[str], list[list[str]]], ...] = ()


def page(profile: Profile, against: Difference | None) -> str:
    """The whole page."""
    return template.render(
        "bench.profile",
        profile=profile,
        summary=sentences.summary(profile),
        trust=sentences.trust(profile),
        numeric=tables.numeric,
        blocks=[block for block in _blocks(profile, against) if block],
    )


def _blocks(profile: Profile, against: Difference | None) -> list[Block | None]:
    step = profile.cost.unprofiled_seconds
    return [
        _difference(against) if against else None,
        Block("parts", "Parts of a step", ["As measured without a profiler, and as the trace has them."],
              tables=(tables.phase_rows(profile),)),
        _python(profile),
        Block("hotspots", "Hot spots",
              ["Operators by their own time, those that they call taken out."],
              tables=(tables.operator_rows(profile.operators, step),)),
        Block("lines", "Lines of the program", ["Operators' own time by the line of fcnn that caused it."],
              tables=(tables.line_rows(profile),)),
        Block("operators", "Operators as a flame graph",
              ["Width is time, the part of the step at the top, callers above what they call."],
              Markup(pictures(profile)["operators"])),
        _device(profile),
        _memory(profile),
        _compiled(profile),
        Block("trace", "The trace", [
            f"traces/{profile.trace_file} ({sentences.size(profile.trace_bytes)}, {profile.steps} steps) opens in "
            "ui.perfetto.dev and in chrome://tracing; the parts of a step are named ranges in it."]),
    ]  # fmt: skip


def _difference(found: Difference) -> Block:
    rows = (tables.difference_rows(found, phases=True), tables.difference_rows(found, phases=False))
    return Block("difference", "The difference", [sentences.difference_sentence(found)], tables=rows)


def _python(profile: Profile) -> Block:
    if not profile.python_stacks:
        return Block(
            "python", "The Python side", [f"Not here: {profile.missing.get('python', 'no sample was taken')}."]
        )
    total = sum(profile.python_stacks.values())
    said = f"{total:,} samples by py-spy, without a profiler; width is share, callers above what they call."
    if profile.python_torn:
        said += " py-spy did not come back from stopping the program, so it ran on: a few stacks are of two moments."
    return Block("python", "The Python side", [said], Markup(pictures(profile)["python"]))


def _device(profile: Profile) -> Block | None:
    if not profile.kernels:
        return None
    return Block("kernels", "On the device", ["Kernels and copies by time, and the gaps between them."],
                 tables=(tables.kernel_rows(profile), tables.gap_rows(profile)))  # fmt: skip


def _memory(profile: Profile) -> Block:
    return Block(
        "memory", "Memory", sentences.memory_sentences(profile), timeline(profile), (tables.memory_rows(profile),)
    )


def timeline(profile: Profile) -> Markup | None:
    """Bytes by category over two steps, stacked; None where there is no timeline."""
    memory = profile.memory
    if not memory.seconds or set(memory.category_bytes) <= {"other"}:
        return None
    with drawing.rc():
        figure, axes = drawing.figure(3.0)
        names = [name for name, values in memory.category_bytes.items() if any(values) and name != "other"]
        values = [[count / 2**20 for count in memory.category_bytes[name]] for name in names]
        colours = [drawing.SERIES[number % len(drawing.SERIES)] for number in range(len(names))]
        axes.stackplot(
            [1e3 * at for at in memory.seconds], values, labels=names, colors=colours, alpha=0.85, step="post"
        )
        axes.set_xlabel("ms, two steps, slowed by the profiler")
        axes.set_ylabel("MiB alive")
        figure.legend(loc="outside right upper")
        return Markup(drawing.for_page(drawing.svg(figure, "memory"), "Memory by category over two steps"))


def _compiled(profile: Profile) -> Block | None:
    if profile.compiled:
        return Block("compiled", "Compiled code", sentences.compiled_lines(profile))
    if reason := profile.missing.get("compiled"):
        return Block("compiled", "Compiled code", [f"Not here: {reason}."])
    return None
