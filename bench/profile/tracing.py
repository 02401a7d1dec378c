"""The profiler around warmed-up steps: a trace for readers of traces, and its events for ours.

It records as little as it can, for the times. What led to a call is recorded apart (`origins`).
"""

from __future__ import annotations

import functools
import gzip
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
from bench.profile.events import STEP, Event, Overhead, most_of_each
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


def overhead(case: Case, steps: MarkedSteps, timing: Timing, self_seconds: Sequence[float], count: int) -> Overhead:
    """What profiling adds, from steps with nothing in them and from `timing`.

    Args:
        case: Whose steps.
        steps: Whose parts.
        timing: MarkedSteps profiled and not.
        self_seconds: Of all operators' events.
        count: Of the steps that have them.
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
    return Overhead(most_of_each(rest * count, self_seconds), inside, outside)


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
