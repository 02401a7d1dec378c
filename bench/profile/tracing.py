"""The profiler around warmed-up steps: a trace for readers of traces, and its events for ours.

Two passes. The first records as little as it can, for the times. The second records shapes, memory and Python's calls,
which takes several times as long, and tells for each call of a step the program's line that caused it; a step makes the
same calls every time, so the passes are joined by a call's name and number.
"""

from __future__ import annotations

import bisect
import collections
import functools
import gzip
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.errors import reason_of
from bench.measure.clock import Clock, garbage_collector_off
from bench.measure.device_work import ON_DEVICE, quiet_profiler
from bench.measure.phases import measure_phases
from bench.profile.events import STEP, Event, Origin, Overhead, Ranges, numbered, within_steps
from bench.profile.steps import MarkedSteps
from fcnn.train import unmarked

TRACE_LIMIT_BYTES = 20 * 2**20
WARM_STEPS = 20
EMPTY_STEPS = 50
OVERHEAD = (  # the profiler's own
    "Activity Buffer Request",
    "Buffer Flush",
    "Command Buffer Full",
    "Driver Compiler",
    "Instrumentation",
    "Lazy Function Loading",
    "Resource",
    "Runtime Triggered Module Loading",
)
BLOCK_SECONDS = 0.1  # of steps in a block that tells what profiling costs
ROUNDS = 11
TRACES, TRACES_SECONDS = 15, 3.0  # at most, until one took what is usual
USUAL = 0.02  # of it, more or less


def activities(case: Case) -> list[ProfilerActivity]:
    """What to record for a case's device."""
    on_cuda = [ProfilerActivity.CUDA] if DEVICES[case.device].torch_name == "cuda" else []
    return [ProfilerActivity.CPU, *on_cuda]


@dataclass(frozen=True)
class Trace:
    """Events of `count` steps that took `step_seconds` each, the device's last work waited for."""

    events: list[Event]
    count: int
    step_seconds: float


def trace(case: Case, steps: MarkedSteps, count: int, file: Path | None, usual_seconds: float | None = None) -> Trace:
    """Traces `count` steps into `file` (.json.gz, or None), fewer if that would be too large.

    Args:
        case: Whose steps.
        steps: What is traced.
        count: How many.
        file: Where to.
        usual_seconds: What a profiled step usually takes. A trace is of a few milliseconds, in which the machine may
            be quicker or slower than else: of several, the one is kept that comes nearest.
    """
    while True:
        seconds, recorded = _usual(case, steps, count, usual_seconds)
        if file is not None:
            recorded.export_chrome_trace(str(file))
            _without_host(file)
        if file is None or file.stat().st_size <= TRACE_LIMIT_BYTES or count == 1:
            return Trace(list(_events(recorded)), count, seconds / count)
        count = max(1, count // 2)


def _usual(case: Case, steps: MarkedSteps, count: int, step_seconds: float | None) -> tuple[float, profile]:
    """Of several recordings the one whose steps take most nearly so long; the first, where that is not said."""
    with garbage_collector_off():
        nearest = _recorded(case, steps, count)
        if step_seconds is None:
            return nearest
        wanted = step_seconds * count
        for _ in range(min(TRACES, round(TRACES_SECONDS / wanted)) - 1):
            if abs(nearest[0] / wanted - 1) <= USUAL:
                break
            nearest = min(nearest, _recorded(case, steps, count), key=lambda one: abs(one[0] / wanted - 1))
    return nearest


def _recorded(case: Case, steps: MarkedSteps, count: int) -> tuple[float, profile]:
    """Seconds of `count` profiled steps, and what was recorded of them."""
    with quiet_profiler(*activities(case)) as recorded:
        block = Clock(DEVICES[case.device]).time_block(functools.partial(steps.traced, count), 1)
    return block.host_seconds, recorded


def overhead(case: Case, steps: MarkedSteps, timing: Timing, events: float) -> Overhead:
    """What profiling adds, from steps with nothing in them and from `timing`.

    Args:
        case: Whose steps.
        steps: Whose parts.
        timing: MarkedSteps profiled and not.
        events: Operators' events a step.
    """

    def nothing(mark: Callable[[str], None], count: int) -> None:
        for _ in range(count):
            for part in steps.parts:
                mark(part)

    empty = MarkedSteps(steps.parts, nothing)
    trace(case, empty, EMPTY_STEPS, None)
    traced = trace(case, empty, EMPTY_STEPS, None)
    lengths = [event.end - event.begin for event in traced.events if event.name in steps.parts and not event.on_device]
    inside = statistics.median(lengths)
    outside = max(0.0, traced.step_seconds - len(steps.parts) * inside)
    rest = timing.profiled_seconds - timing.unprofiled_seconds - traced.step_seconds
    return Overhead(max(0.0, rest / events) if events else 0.0, inside, outside)


def _without_host(file: Path) -> None:
    """Takes the host's name and the file's path out of a trace, which is made to be shown around.

    Raises:
        RuntimeError: It is cut off; the profiler does not say so itself.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as source:
            content = json.load(source)
    except (EOFError, OSError, ValueError) as error:
        folder = tempfile.gettempdir()  # where torch writes it first
        raise RuntimeError(f"the trace is cut off, as where {folder} is full ({reason_of(error)})") from error
    content.pop("host_name", None)
    content["traceName"] = file.name
    with gzip.open(file, "wt", encoding="utf-8", compresslevel=6) as target:
        json.dump(content, target)


def _events(recorded: profile) -> Iterator[Event]:
    paths: dict[int, tuple[str, ...]] = {}

    def path(event: Any) -> tuple[str, ...]:
        if event.id not in paths or paths[event.id][-1] != event.name:
            parent = event.cpu_parent
            paths[event.id] = (*(path(parent) if parent is not None else ()), event.name)
        return paths[event.id]

    for event in recorded.events() or []:
        on_device = str(event.device_type) == ON_DEVICE
        if getattr(event, "activity_type", None) == "overhead" or event.name in OVERHEAD:
            continue
        if on_device and (event.name.startswith(STEP) or getattr(event, "is_user_annotation", False)):
            continue  # ranges are drawn on the device's timeline, too
        begin, end = event.time_range.start / 1e6, event.time_range.end / 1e6
        if on_device:
            yield Event((event.name,), begin, end, end - begin, on_device)
        else:
            yield Event(
                path(event), begin, end, event.self_cpu_time_total / 1e6, False, event.self_device_time_total / 1e6
            )


def origins(case: Case, steps: MarkedSteps, program: Path) -> dict[tuple[str, int], Origin]:
    """By a call's name and number in its step: line, FLOPs and allocated bytes, from the second of three steps.

    Args:
        case: What is run.
        steps: Its steps.
        program: The folder whose lines are named.
    """
    with (
        garbage_collector_off(),
        profile(
            activities=activities(case), record_shapes=True, profile_memory=True, with_stack=True, with_flops=True
        ) as recorded,
    ):
        steps.traced(3)
    host = [event for event in recorded.events() or [] if str(event.device_type) != ON_DEVICE]
    sizes = _of_second_step(
        [(e.name, e.time_range.start, e.time_range.end, (e.flops or 0, max(0, _allocated(e)))) for e in host],
        steps,
    )
    lines = _of_second_step(list(_calls(recorded, modules_below(program))), steps)
    return {key: Origin(lines.get(key, ""), *map(float, size)) for key, size in sizes.items()}


def _allocated(event: Any) -> int:
    return int(event.self_cpu_memory_usage + event.self_device_memory_usage)


def _of_second_step(calls: Sequence[tuple[str, float, float, Any]], steps: MarkedSteps) -> dict[tuple[str, int], Any]:
    """What is known of each (name, begin, end, known), by the call's name and number in the second step."""
    known = {Event((name,), begin, end, 0.0): what for name, begin, end, what in calls}
    ranges = Ranges(list(known), steps.parts, 3)
    return {
        (event.name, number): known[event]
        for event, number in numbered(within_steps(known, ranges), ranges)
        if ranges.step(event.begin) == 1
    }


def modules_below(folder: Path) -> dict[str, list[str]]:
    """The files of all modules below a folder that this process has imported, by their names; no installed ones."""
    by_name = collections.defaultdict(list)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(folder) and "site-packages" not in file:
            by_name[Path(file).name].append(file)
    return by_name


def _calls(recorded: profile, files: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, float, float, str]]:
    """Every operator's call (name, begin, end in ns), with the innermost line of the program that led to it.

    On a GPU the backward pass calls its operators from a thread without Python: there, the line is the one that the
    program was in at the time.
    """
    nodes = [(root, "", True) for root in recorded.profiler.kineto_results.experimental_event_tree()]  # type: ignore[union-attr]
    calls, spans = [], []
    while nodes:
        node, line, is_root = nodes.pop()
        caller = getattr(node.extra_fields, "caller", None)
        # torch leaves out what a path has in common with Python's own search path.
        name = "" if caller is None else Path(caller.file_name).name
        if caller is not None and any(file.endswith(caller.file_name) for file in files.get(name, ())):
            line = f"{name}:{caller.line_number} {caller.function_name}"
            spans.append((node.start_time_ns, node.end_time_ns, line))
        elif not line and (own := getattr(node.extra_fields, "callsite", None)) is not None:
            # What a function of the program calls by an operator's sign is called by nobody else in it.
            name = Path(own.file_name).name
            if any(file.endswith(own.file_name) for file in files.get(name, ())):
                line = f"{name}:{own.line_number} {own.function_name}"
        if node.tag.name == "TorchOp":
            calls.append((node.name, node.start_time_ns, node.end_time_ns, line, is_root))
        # What a thread without Python's calls begins hands its line on to what it calls.
        nodes += [(child, line, is_root and not line and node.tag.name == "TorchOp") for child in node.children]
    spans.sort()
    for name, begin, end, line, is_root in calls:
        yield name, begin, end, line or (_line_at(spans, begin) if is_root else "")


def _line_at(spans: Sequence[tuple[float, float, str]], moment: float) -> str:
    """The line of the innermost span that holds `moment`: of those, the one that began last."""
    at = bisect.bisect_right(spans, (moment, math.inf, ""))
    return next((line for _, end, line in reversed(spans[:at]) if end >= moment), "")


@dataclass(frozen=True)
class Timing:
    """Seconds per step, without a profiler and with one, and without it by part."""

    unprofiled_seconds: float
    profiled_seconds: float
    part_seconds: dict[str, float]


def warm_step_seconds(case: Case, steps: MarkedSteps) -> float:
    """Seconds per step, the device's last work waited for, after as many steps that only warm up."""
    clock, some = Clock(DEVICES[case.device]), functools.partial(steps.run, unmarked, WARM_STEPS)
    clock.time_block(some, 1)
    return clock.time_block(some, 1).host_seconds / WARM_STEPS


def timing(case: Case, steps: MarkedSteps, count: int) -> Timing:
    """Blocks of `count` steps, profiled and not by turns, then in parts.

    What profiling adds is the middle of the differences between neighbours: on a machine that changes its speed by a
    tenth meanwhile, the difference between the middles is of that change.
    """
    clock = Clock(DEVICES[case.device])
    plain, added = [], []
    with garbage_collector_off():
        for _ in range(ROUNDS):
            plain.append(clock.time_block(lambda: steps.run(unmarked, count), 1).host_seconds / count)
            added.append(_recorded(case, steps, count)[0] / count - plain[-1])
    if len(steps.parts) == 1:
        parts = {steps.parts[0]: statistics.median(plain)}
    else:
        measured = measure_phases(
            lambda mark: steps.run(mark, count), clock, repetitions=1, rounds=ROUNDS, device=False
        )
        parts = {part: seconds / count for part, seconds in measured.host_seconds.items()}
    return Timing(statistics.median(plain), statistics.median(plain) + statistics.median(added), parts)
