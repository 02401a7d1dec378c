"""A profile for people: the terminal, profile.md, and what both say in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from bench.profile.against import Difference
from bench.profile.events import BETWEEN
from bench.profile.model import Operator, Profile
from bench.report import units

OPERATORS = 15  # shown; all are in profile.json
PARTS = {
    "fetch": "waiting for the next batch", "to_device": "moving the batch to the device", "flatten": "flattening",
    "zero_grad": "clearing gradients", "forward": "the forward pass", "loss": "the loss",
    "backward": "the backward pass", "optimizer": "the optimizer", "rest": "what is between the parts",
    "forward_backward": "forward and backward",
}  # fmt: skip


def size(count: float) -> str:
    """Bytes to three digits, in binary units."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:,.0f} {unit}"
    return f"{count:.0f} B"


def signed(seconds: float) -> str:
    """A difference of times with its sign."""
    return f"{'-' if seconds < 0 else '+'}{units.duration(abs(seconds))}"


def summary(profile: Profile) -> list[str]:
    """The answer in a few sentences."""
    step = profile.cost.unprofiled_seconds
    whole = "One step of this epoch" if profile.case["workload"] == "epoch" else "One repetition"
    parts = sorted(profile.phases, key=lambda phase: -phase.unprofiled_seconds)
    first = parts[0]
    found = [f"{whole} takes {units.duration(step)} without a profiler."]
    if len(parts) > 2:
        second = parts[1]
        found[0] = (
            f"{found[0][:-1]}: {units.share(first.unprofiled_seconds / step)} of it is "
            f"{PARTS.get(first.phase, first.phase)}, {units.share(second.unprofiled_seconds / step)} "
            f"{PARTS.get(second.phase, second.phase)}."
        )
    computing = sum(max(o.self_seconds, o.device_seconds) for o in profile.operators if o.flops)
    calls = sum(o.calls for o in profile.operators if o.name.startswith("aten::"))
    found.append(
        f"It makes {calls:,.0f} operator calls; those that do the network's arithmetic take "
        f"{units.share(computing / step)} of the time."
    )
    if profile.python_stacks:
        frame, share = hottest(profile)
        found.append(f"Of the samples of the Python side, {units.share(share)} are in {frame} itself.")
    growth = profile.memory.growth_bytes
    if growth is not None and growth > 0:
        found.append(f"A leak: 100 steps leave {size(growth)} behind, {size(growth / 100)} each.")
    return found


def hottest(profile: Profile) -> tuple[str, float]:
    """The Python function in which the most samples ended, and their share."""
    own: dict[str, int] = {}
    for stack, count in profile.python_stacks.items():
        frame = stack.rpartition(";")[2]
        own[frame] = own.get(frame, 0) + count
    frame = max(own, key=lambda name: own[name])
    return frame, own[frame] / sum(own.values())


def trust(profile: Profile) -> str:
    """What the profiler itself costs, and whether the numbers may be read as the program's own."""
    cost = profile.cost
    text = (
        f"The profiler makes a step {cost.profiled_seconds / cost.unprofiled_seconds:.2f} times as long: "
        f"{units.duration(cost.profiled_seconds)} instead of {units.duration(cost.unprofiled_seconds)}; its ranges "
        f"cost {units.duration(cost.ranges_seconds)}, each of {cost.events:,.0f} operator events "
        f"{units.duration(cost.event_seconds)}. With that taken off, what the {profile.steps} traced steps hold adds "
        f"up to {units.duration(cost.corrected_seconds)} each, {cost.agreement_fraction:+.1%} from the unprofiled step"
    )
    if not cost.agrees:
        text += ": THEY DO NOT AGREE within 10%. Take the shares as a hint, and profile again on a quieter machine"
    apart = ", ".join(f"{p.phase} {p.corrected_seconds / p.unprofiled_seconds - 1:+.0%}" for p in profile.disagreeing)
    return f"{text}." + (f" Single parts are further off: {apart}." if apart else "")


def short(name: str) -> str:
    """An operator's name without what the profiler says twice."""
    if name.startswith("enumerate(DataLoader)"):
        return "DataLoader: next batch"
    return name.partition("#")[2] or name if name.startswith("Optimizer.") else name


def operator_rows(operators: Sequence[Operator], step_seconds: float) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the hot spots."""
    on_device = any(o.device_seconds for o in operators)
    headings = ["Part", "Operator", "Calls", "Self time", "Of the step", "FLOPs", "Allocates", "Line of fcnn"]
    if on_device:
        headings.insert(5, "On the device")
    rows = [
        [
            o.phase,
            short(o.name),
            f"{o.calls:,.4g}",
            units.duration(o.self_seconds),
            units.share(o.self_seconds / step_seconds),
            *([units.duration(o.device_seconds)] if on_device else []),
            f"{o.flops:,.0f}" if o.flops else "-",
            size(o.allocated_bytes) if o.allocated_bytes else "-",
            o.line or ("-" if o.name != BETWEEN else ""),
        ]
        for o in operators[:OPERATORS]
    ]
    return headings, rows


def phase_rows(profile: Profile) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the parts."""
    headings = ["Part", "Unprofiled", "Of the step", "Traced, corrected", "Events"]
    step = profile.cost.unprofiled_seconds
    rows = [
        [p.phase, units.duration(p.unprofiled_seconds), units.share(p.unprofiled_seconds / step),
         units.duration(p.corrected_seconds), f"{p.events:,.4g}"]
        for p in profile.phases
    ]  # fmt: skip
    return headings, rows


def line_rows(profile: Profile) -> tuple[list[str], list[list[str]]]:
    """Self time by the line of `fcnn` that caused it, operators together."""
    found: dict[str, list[float]] = {}
    for operator in profile.operators:
        if operator.line:
            total = found.setdefault(operator.line, [0.0, 0.0])
            total[0] += operator.self_seconds
            total[1] += operator.calls
    step = profile.cost.unprofiled_seconds
    ordered = sorted(found.items(), key=lambda item: -item[1][0])
    rows = [
        [line, f"{calls:,.4g}", units.duration(seconds), units.share(seconds / step)]
        for line, (seconds, calls) in ordered
    ]
    return ["Line of fcnn", "Calls", "Operators' self time", "Of the step"], rows


def difference_rows(found: Difference, *, phases: bool) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of two profiles' difference, the largest first."""
    rows = found.phases if phases else found.operators[:OPERATORS]
    headings = ["Part", *([] if phases else ["Operator", "Calls A", "Calls B"]), "A", "B", "B less A"]
    return headings, [
        [
            row.phase,
            *([] if phases else [short(row.name), f"{row.a_calls:,.4g}", f"{row.b_calls:,.4g}"]),
            units.duration(row.a_seconds),
            units.duration(row.b_seconds),
            signed(row.difference_seconds),
        ]
        for row in rows
    ]


def difference_sentence(found: Difference) -> str:
    """Which side is slower, by how much, and which part accounts for the most of it."""
    change = found.b_seconds - found.a_seconds
    most = found.phases[0]
    return (
        f"A is {found.a}, B is {found.b}. A step takes {units.duration(found.a_seconds)} in A and "
        f"{units.duration(found.b_seconds)} in B, {signed(change)}; the part that differs the most is {most.phase}, by "
        f"{signed(most.difference_seconds)}."
    ) + ("" if found.b_agrees else " The trace of B does not agree with its unprofiled step within 10%.")


def memory_rows(profile: Profile) -> tuple[list[str], list[list[str]]]:
    """Where what was alive at the process's peak had been allocated."""
    rows = [[holder.where, size(holder.bytes), f"{holder.allocations:,}"] for holder in profile.memory.holders]
    return ["Allocated by", "Alive at the peak", "Allocations"], rows


def memory_sentences(profile: Profile) -> list[str]:
    """Peaks, allocations and growth; reasons for what is missing."""
    memory, found = profile.memory, []
    if memory.peak:
        total, categories = memory.peak
        named = ", ".join(
            f"{name} {size(value)}" for name, value in sorted(categories.items(), key=lambda item: -item[1]) if value
        )
        found.append(
            f"The most memory alive within a step is {size(total)}: {named}. Other is what was there before, such as "
            "images as bytes; the picture leaves it out."
        )
    if memory.process_peak_bytes is not None:
        found.append(
            f"From the building of the case on, the process allocated {size(memory.process_peak_bytes)} at its peak."
        )
    if memory.allocations is not None:
        found.append(f"A step makes {memory.allocations:,} new tensors.")
    if memory.growth_bytes is not None:
        grown = f"{size(memory.growth_bytes)}: a leak" if memory.growth_bytes > 0 else "nothing: no leak"
        found.append(f"100 steps leave {grown}.")
    return found + [f"No {name}: {reason}." for name, reason in memory.missing.items()]


def show(profile: Profile, against: Difference | None, console: Console) -> None:
    """Prints the sentences and the hot spots, and the difference if there is one."""
    for sentence in [*summary(profile), trust(profile)]:
        console.print(sentence, markup=False)
    console.print()
    headings, rows = operator_rows(profile.operators, profile.cost.unprofiled_seconds)
    narrow = [number for number, heading in enumerate(headings) if heading not in ("FLOPs", "Allocates")]
    _print(
        console,
        [headings[n] for n in narrow],
        [[*(row[n] for n in narrow[:-1]), row[-1].split(" ")[0]] for row in rows],
    )
    if against:
        console.print()
        console.print(difference_sentence(against), markup=False)
        _print(console, *difference_rows(against, phases=False))
    for name, reason in profile.missing.items():
        console.print(f"no {name}: {reason}", markup=False)


def numeric(rows: list[list[str]], column: int) -> bool:
    """Whether a column holds numbers, which are set to the right: no cell begins with a letter."""
    return bool(rows) and not any(row[column][:1].isalpha() or row[column][:1] == "(" for row in rows)


def _print(console: Console, headings: list[str], rows: list[list[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if numeric(rows, number) else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "Operator")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def markdown(profile: Profile, against: Difference | None) -> str:
    """profile.md."""
    step = profile.cost.unprofiled_seconds
    lines = [
        f"# Where the time of {profile.source} goes",
        "",
        f"On {profile.machine}, torch {profile.torch}, with {profile.dataset}.",
        "",
        *summary(profile),
        "",
        trust(profile),
        "",
        "## Parts of a step",
        "",
        _table(*phase_rows(profile)),
        "",
        "## Hot spots",
        "",
        _table(*operator_rows(profile.operators, step)),
        "",
        "## Lines",
        "",
        _table(*line_rows(profile)),
        "",
        "## Memory",
        "",
        *memory_sentences(profile),
        "",
        _table(*memory_rows(profile)),
    ]
    if profile.kernels:
        lines += ["", "## Kernels", "", _table(*kernel_rows(profile)), "", _table(*gap_rows(profile))]
    if profile.compiled:
        lines += ["", "## Compiled code", "", *[f"* {text}" for text in compiled_lines(profile)]]
    if against:
        lines += ["", "## The difference", "", difference_sentence(against), ""]
        lines += [_table(*difference_rows(against, phases=True)), "", _table(*difference_rows(against, phases=False))]
    lines += ["", *[f"No {name}: {reason}." for name, reason in profile.missing.items()]]
    return "\n".join(lines).rstrip() + "\n"


def kernel_rows(profile: Profile) -> tuple[list[str], list[list[str]]]:
    """What the device ran."""
    step = profile.cost.unprofiled_seconds
    rows = [
        [kernel.name, f"{kernel.calls:,.4g}", units.duration(kernel.seconds), units.share(kernel.seconds / step)]
        for kernel in profile.kernels[:OPERATORS]
    ]
    return ["Kernel", "Calls", "Device time", "Of the step"], rows


def gap_rows(profile: Profile) -> tuple[list[str], list[list[str]]]:
    """When the device had nothing to do."""
    rows = [[gap.host, f"{gap.count:,.4g}", units.duration(gap.seconds)] for gap in profile.gaps[:OPERATORS]]
    return ["While the host was in", "Gaps", "Idle device time"], rows


def compiled_lines(profile: Profile) -> list[str]:
    """Graphs, breaks, recompilations, kernels and stages."""
    compiled = profile.compiled
    if compiled is None:
        return []
    stages = [f"{stage}: {units.duration(seconds)}" for stage, seconds in compiled.stage_seconds.items()]
    kernels = ", ".join(compiled.kernels) or "none"
    return [
        f"Graphs: {compiled.graphs}.",
        f"Graph breaks: {'; '.join(compiled.breaks) or 'none'}.",
        f"Recompilations: {'; '.join(compiled.recompiles) or 'none'}.",
        f"Generated kernels: {len(compiled.kernels)} ({kernels}).",
        f"Compile time from cold, a stage with all that it calls: {'; '.join(stages)}.",
    ]


def _table(headings: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    aligned = tuple("right" if numeric(rows, number) else "left" for number in range(len(headings)))
    return tabulate(
        cells, headers=headings, tablefmt="github", colalign=aligned if rows else None, disable_numparse=True
    )
