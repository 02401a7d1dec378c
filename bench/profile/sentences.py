"""What a profile comes to, in sentences, and how its numbers are written."""

from __future__ import annotations

from bench.profile.against import ProfileDifference
from bench.profile.disturbed import notice
from bench.profile.model import Profile
from bench.report import units
from bench.text import counted

PART_NAMES = {
    "fetch": "waiting for the next batch", "to_device": "moving the batch to the device", "flatten": "flattening",
    "zero_grad": "clearing gradients", "forward": "the forward pass", "loss": "the loss",
    "backward": "the backward pass", "optimizer": "the optimizer", "rest": "what is between the parts",
    "forward_backward": "forward and backward", "replay": "the replay of the CUDA graph",
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


def disturbance(profile: Profile, against: ProfileDifference | None) -> str | None:
    """What stands above all numbers if some of them are of the program and of something else; None if none are."""
    sides = [("A", against.a_disturbed), ("B", against.b_disturbed)] if against else []
    reason = "; ".join(f"in {side}, {reason}" for side, reason in sides if reason) if against else profile.disturbed
    return notice(reason, "the program", "profile again") if reason else None


def summary(profile: Profile) -> list[str]:
    """The answer in a few sentences; of a disturbed profile only what does not come from times."""
    lines = [] if profile.disturbed else _where_time_goes(profile)
    growth = profile.memory.growth_bytes
    if growth is not None and growth > 0:
        lines.append(f"A leak: 100 steps leave {size(growth)} behind, {size(growth / 100)} each.")
    return lines


def _where_time_goes(profile: Profile) -> list[str]:
    step = profile.cost.unprofiled_seconds
    whole = "One step of this epoch" if profile.case["workload"] == "epoch" else "One repetition"
    parts = sorted(profile.phases, key=lambda phase: -phase.unprofiled_seconds)
    first = parts[0]
    lines = [f"{whole} takes {units.duration(step)} without a profiler."]
    if len(parts) > 2:
        second = parts[1]
        together = profile.parts_seconds
        lines[0] = (
            f"{lines[0][:-1]}: {units.share(first.unprofiled_seconds / together)} of it is "
            f"{PART_NAMES.get(first.phase, first.phase)}, {units.share(second.unprofiled_seconds / together)} "
            f"{PART_NAMES.get(second.phase, second.phase)}."
        )
    computing = sum(max(o.self_seconds, o.device_seconds) for o in profile.operators if o.flops)
    calls = sum(o.calls for o in profile.operators if o.name.startswith("aten::"))
    arithmetic = f"; matrix products and convolutions take {units.share(computing / profile.whole_seconds)} of the time"
    lines.append(f"It makes {calls:,.0f} operator calls{arithmetic if computing else ''}.")
    if profile.python_stacks:
        frame, share = hottest(profile)
        lines.append(f"Of the samples of the Python side, {units.share(share)} are in {frame} itself.")
    return lines


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
        f"{units.duration(cost.event_seconds)}. With that taken off, what the {counted(profile.steps, 'traced step')} "
        f"{'holds' if profile.steps == 1 else 'hold'} adds up to {units.duration(cost.corrected_seconds)} each, "
        f"{cost.agreement_fraction:+.1%} from the unprofiled step"
    )
    if not cost.agrees:
        text += ": THEY DO NOT AGREE within 10%. Take the shares as a hint, and profile again on a quieter machine"
    apart = ", ".join(f"{p.phase} {p.corrected_seconds / p.unprofiled_seconds - 1:+.0%}" for p in profile.disagreeing)
    return f"{text}." + (f" Single parts are further off: {apart}." if apart else "")


def difference_sentence(difference: ProfileDifference) -> str:
    """Which side is slower, by how much, and which part accounts for the most of it; no verdict if one is disturbed."""
    if difference.a_disturbed or difference.b_disturbed:
        return f"A is {difference.a}, B is {difference.b}."
    change = difference.b_seconds - difference.a_seconds
    most = difference.phases[0]
    return (
        f"A is {difference.a}, B is {difference.b}. A step takes {units.duration(difference.a_seconds)} in A and "
        f"{units.duration(difference.b_seconds)} in B, {signed(change)}; the part that differs the most is "
        f"{most.phase}, by {signed(most.difference_seconds)}."
    ) + ("" if difference.b_agrees else " The trace of B does not agree with its unprofiled step within 10%.")


def memory_sentences(profile: Profile) -> list[str]:
    """Peaks, allocations and growth; reasons for what is missing."""
    memory, lines = profile.memory, []
    if memory.peak:
        total, categories = memory.peak
        named = ", ".join(
            f"{name} {size(value)}" for name, value in sorted(categories.items(), key=lambda item: -item[1]) if value
        )
        lines.append(
            f"The most memory alive within a step is {size(total)}: {named}. Other is what was there before, such as "
            "images as bytes; the picture leaves it out."
        )
    if memory.process_peak_bytes is not None:
        reserved = ""
        if memory.reserved_bytes:
            reserved = f" Beside it, {size(memory.reserved_bytes)} of addresses are reserved, which is no memory."
        lines.append(
            f"From the building of the case on, the process allocated {size(memory.process_peak_bytes)} at its peak."
            + reserved
        )
    if memory.allocations is not None:
        lines.append(f"A step makes {memory.allocations:,} new tensors.")
    if memory.growth_bytes is not None:
        grown = f"{size(memory.growth_bytes)}: a leak" if memory.growth_bytes > 0 else "nothing: no leak"
        lines.append(f"100 steps leave {grown}.")
    return lines + [f"No {name}: {reason}." for name, reason in memory.missing.items()]


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
