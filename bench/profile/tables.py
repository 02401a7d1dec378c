"""The tables of a profile."""

from __future__ import annotations

import re

from bench.profile.against import ProfileDifference
from bench.profile.events import BETWEEN
from bench.profile.model import Profile
from bench.profile.sentences import signed, size
from bench.report import units
from bench.table import PROSE, Table

SHOWN_ROWS = 15  # all are in profile.json, with their whole names
NAMESPACES = re.compile(r"(?:\w+::)+")
# In a template's arguments, what says which of many kernels it is.
FUNCTORS = re.compile(r"\w*(?:Functor|functor|Op|Sqrt|plus|minus|multiplies|divides|clamp|threshold|gemm|impl)\w*")
BOILERPLATE = {"ReduceOp", "operator"}


def hot_spots(profile: Profile) -> Table:
    """The hot spots."""
    on_device = any(o.device_seconds for o in profile.operators)
    headings = ["Part", "Operator", "Calls", "Self time", "Of the step", "FLOPs", "Allocates", "Program line"]
    if on_device:
        headings.insert(5, "On the device")
    rows = [
        [
            o.phase,
            short(o.name),
            f"{o.calls:,.4g}",
            units.duration(o.self_seconds),
            units.share(o.self_seconds / profile.whole_seconds),
            *([units.duration(o.device_seconds)] if on_device else []),
            f"{o.flops:,.0f}" if o.flops else "-",
            size(o.allocated_bytes) if o.allocated_bytes else "-",
            o.line or ("-" if o.name != BETWEEN else ""),
        ]
        for o in profile.operators[:SHOWN_ROWS]
    ]
    return Table.of(headings, rows, Operator=PROSE)


def parts(profile: Profile) -> Table:
    """The parts of a step."""
    headings = ["Part", "Unprofiled", "Of the step", "Traced, corrected", "Events"]
    together = profile.parts_seconds
    rows = [
        [p.phase, units.duration(p.unprofiled_seconds), units.share(p.unprofiled_seconds / together),
         units.duration(p.corrected_seconds), f"{p.events:,.4g}"]
        for p in profile.phases
    ]  # fmt: skip
    return Table.of(headings, rows)


def lines(profile: Profile) -> Table:
    """Self time by the line of `fcnn` that caused it, operators together."""
    totals: dict[str, list[float]] = {}
    for operator in profile.operators:
        if operator.line:
            total = totals.setdefault(operator.line, [0.0, 0.0])
            total[0] += operator.self_seconds
            total[1] += operator.calls
    ordered = sorted(totals.items(), key=lambda item: -item[1][0])
    rows = [
        [line, f"{calls:,.4g}", units.duration(seconds), units.share(seconds / profile.whole_seconds)]
        for line, (seconds, calls) in ordered
    ]
    return Table.of(["Program line", "Calls", "Operators' self time", "Of the step"], rows)


def changes(difference: ProfileDifference, *, phases: bool) -> Table:
    """Two profiles' difference, the largest first."""
    shown = difference.phases if phases else difference.operators[:SHOWN_ROWS]
    headings = ["Part", *([] if phases else ["Operator", "Calls A", "Calls B"]), "A", "B", "B less A"]
    rows = [
        [
            row.phase,
            *([] if phases else [short(row.name), f"{row.a_calls:,.4g}", f"{row.b_calls:,.4g}"]),
            units.duration(row.a_seconds),
            units.duration(row.b_seconds),
            signed(row.difference_seconds),
        ]
        for row in shown
    ]
    return Table.of(headings, rows, Operator=PROSE)


def holders(profile: Profile) -> Table:
    """Where what was alive at the process's peak had been allocated."""
    rows = [[holder.where, size(holder.bytes), f"{holder.allocations:,}"] for holder in profile.memory.holders]
    return Table.of(["Allocated by", "Alive at the peak", "Allocations"], rows)


def kernels(profile: Profile) -> Table:
    """What the device ran."""
    step = profile.cost.unprofiled_seconds
    rows = [
        [
            short_kernel(kernel.name),
            f"{kernel.calls:,.4g}",
            units.duration(kernel.seconds),
            units.share(kernel.seconds / step),
        ]
        for kernel in profile.kernels[:SHOWN_ROWS]
    ]
    return Table.of(["Kernel", "Calls", "Device time", "Of the step"], rows)


def gaps(profile: Profile) -> Table:
    """When the device had nothing to do."""
    rows = [[_while(gap.host), f"{gap.count:,.4g}", units.duration(gap.seconds)] for gap in profile.gaps[:SHOWN_ROWS]]
    return Table.of(["While the host was in", "Gaps", "Idle device time"], rows)


def _while(host: str) -> str:
    part, separator, name = host.partition(": ")
    return f"{part}{separator}{short(name)}"


def short_kernel(name: str) -> str:
    """A kernel's name with the functors it is made of, and without types, arguments and namespaces.

    `void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>, std::array<char*, 1ul> >(int)`
    is `vectorized_elementwise_kernel<FillFunctor>`.
    """
    plain = NAMESPACES.sub("", name.removeprefix("void ").replace("(anonymous namespace)::", ""))
    called = re.match(r"\w+(?=[<(])", plain)
    if not called:  # a copy, or a name without arguments
        return plain
    made_of = [word for word in dict.fromkeys(FUNCTORS.findall(plain, called.end())) if word not in BOILERPLATE]
    return f"{called[0]}<{', '.join(made_of)}>" if made_of else called[0]


def short(name: str) -> str:
    """An operator's name without what the profiler says twice."""
    if name.startswith("enumerate(DataLoader)"):
        return "DataLoader: next batch"
    return name.partition("#")[2] or name if name.startswith("Optimizer.") else name
