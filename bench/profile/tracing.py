"""The profiler around warmed-up steps: a trace for readers of traces, and its events for ours.

Two passes. The first records as little as it can, for the times. The second records shapes, memory and Python's calls,
which takes several times as long, and tells for each call of a step the line of `fcnn` that caused it; a step makes the
same calls every time, so the passes are joined by a call's name and number.
"""

from __future__ import annotations

import functools
import gzip
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.measure.clock import Clock, garbage_collector_off
from bench.measure.device_work import ON_DEVICE, quiet_profiler
from bench.measure.phases import EPOCH_PARTS, measure_phases
from bench.profile.events import STEP, Event, Origin, Ranges, numbered, within_steps
from bench.suite.workloads import Prepared
from fcnn.train import PARTS, unmarked

TRACE_LIMIT_BYTES = 20 * 2**20
WARM_STEPS = 20
PROGRAM = "fcnn"  # the folder whose lines are named
BLOCK_SECONDS = 0.3  # of steps in a block that tells what profiling costs
ROUNDS = 5


class Marks:
    """Puts every step and every part of it into the trace as named ranges.

    `train_step` says when a part is done and not when one begins; their order is known, so a range begins where the one
    before it ends.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._parts = parts
        self._steps = 0
        self._open: list[Any] = []

    def _begin(self, name: str) -> None:
        found = torch.profiler.record_function(name)
        found.__enter__()
        self._open.append(found)

    def _end(self) -> None:
        self._open.pop().__exit__(None, None, None)

    def __enter__(self) -> Marks:
        self._begin(f"{STEP}#{self._steps}")
        self._begin(self._parts[0])
        return self

    def __call__(self, part: str) -> None:
        """Ends the range of `part` and begins the next."""
        self._end()
        if part == self._parts[-1]:
            self._end()
            self._steps += 1
            self._begin(f"{STEP}#{self._steps}")
        self._begin(self._parts[(self._parts.index(part) + 1) % len(self._parts)])

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._end()


@dataclass(frozen=True)
class Steps:
    """A case's steps: `run(mark, n)` does n of them; `parts` are those that call `mark`, in order."""

    parts: tuple[str, ...]
    run: Callable[..., object]

    def traced(self, steps: int) -> None:
        """So many steps with their ranges."""
        with Marks(self.parts) as marks:
            self.run(marks, steps)


def steps_of(case: Case, prepared: Prepared) -> Steps:
    """The steps of a case: of an epoch its first ones; a part alone is one range of its own."""
    if case.workload == "epoch":
        assert prepared.marked is not None
        return Steps(EPOCH_PARTS, lambda mark, steps: prepared.marked(mark, steps=steps))  # type: ignore[misc]
    if prepared.marked is not None:
        return Steps(PARTS, functools.partial(_repeat, prepared.marked))
    return Steps((case.workload,), functools.partial(_repeat_part, case.workload, prepared.repeat))


def _repeat(marked: Callable[..., object], mark: Callable[[str], None], steps: int) -> None:
    for _ in range(steps):
        marked(mark)


def _repeat_part(name: str, repeat: Callable[[], object], mark: Callable[[str], None], steps: int) -> None:
    for _ in range(steps):
        repeat()
        mark(name)


def activities(case: Case) -> list[ProfilerActivity]:
    """What to record for a case's device."""
    on_cuda = [ProfilerActivity.CUDA] if DEVICES[case.device].torch_name == "cuda" else []
    return [ProfilerActivity.CPU, *on_cuda]


def trace(case: Case, steps: Steps, count: int, file: Path) -> tuple[list[Event], int]:
    """Traces `count` steps into `file` (.json.gz), fewer if it would be too large; (events, steps)."""
    while True:
        with garbage_collector_off(), quiet_profiler(*activities(case)) as found:
            Clock(DEVICES[case.device]).time_block(functools.partial(steps.traced, count), 1)
        found.export_chrome_trace(str(file))
        _without_host(file)
        if file.stat().st_size <= TRACE_LIMIT_BYTES or count == 1:
            return list(_events(found)), count
        count = max(1, count // 2)


def _without_host(file: Path) -> None:
    """Takes the host's name and the file's path out of a trace, which is made to be shown around."""
    with gzip.open(file, "rt", encoding="utf-8") as source:
        found = json.load(source)
    found.pop("host_name", None)
    found["traceName"] = file.name
    with gzip.open(file, "wt", encoding="utf-8", compresslevel=6) as target:
        json.dump(found, target)


def _events(found: profile) -> Iterator[Event]:
    paths: dict[int, tuple[str, ...]] = {}

    def path(event: Any) -> tuple[str, ...]:
        if event.id not in paths or paths[event.id][-1] != event.name:
            parent = event.cpu_parent
            paths[event.id] = (*(path(parent) if parent is not None else ()), event.name)
        return paths[event.id]

    for event in found.events() or []:
        on_device = str(event.device_type) == ON_DEVICE
        begin, end = event.time_range.start / 1e6, event.time_range.end / 1e6
        if on_device and (event.name.startswith(STEP) or event.is_user_annotation):
            continue  # ranges are drawn on the device's timeline, too
        own = end - begin if on_device else event.self_cpu_time_total / 1e6
        yield Event((event.name,) if on_device else path(event), begin, end, own, on_device)


def origins(case: Case, steps: Steps) -> dict[tuple[str, int], Origin]:
    """By a call's name and number in its step: line, FLOPs and allocated bytes, from the second of three steps."""
    with (
        garbage_collector_off(),
        profile(
            activities=activities(case), record_shapes=True, profile_memory=True, with_stack=True, with_flops=True
        ) as found,
    ):
        steps.traced(3)
    host = [event for event in found.events() or [] if str(event.device_type) != ON_DEVICE]
    sizes = _of_second_step(
        [(e.name, e.time_range.start, e.time_range.end, (e.flops or 0, max(0, e.self_cpu_memory_usage))) for e in host],
        steps,
    )
    lines = _of_second_step(list(_calls(found)), steps)
    return {key: Origin(lines.get(key, ""), *map(float, size)) for key, size in sizes.items()}


def _of_second_step(calls: Sequence[tuple[str, float, float, Any]], steps: Steps) -> dict[tuple[str, int], Any]:
    """What is known of each (name, begin, end, known), by the call's name and number in the second step."""
    known = {Event((name,), begin, end, 0.0): what for name, begin, end, what in calls}
    ranges = Ranges(list(known), steps.parts, 3)
    return {
        (event.name, number): known[event]
        for event, number in numbered(within_steps(known, ranges), ranges)
        if ranges.step(event.begin) == 1
    }


def _calls(found: profile) -> Iterator[tuple[str, float, float, str]]:
    """Every operator's call (name, begin, end in ns), with the innermost line of the program that led to it."""
    stack = [(root, "") for root in found.profiler.kineto_results.experimental_event_tree()]  # type: ignore[union-attr]
    while stack:
        node, line = stack.pop()
        caller = getattr(node.extra_fields, "caller", None)
        # torch leaves out what a path has in common with Python's own search path.
        if caller is not None and Path(caller.file_name).parent.name == PROGRAM:
            line = f"{Path(caller.file_name).name}:{caller.line_number} {caller.function_name}"
        if node.tag.name == "TorchOp":
            yield node.name, node.start_time_ns, node.end_time_ns, line
        stack += [(child, line) for child in node.children]


@dataclass(frozen=True)
class Timing:
    """Seconds a step, without a profiler and with one, and without it by part."""

    unprofiled_seconds: float
    profiled_seconds: float
    part_seconds: dict[str, float]


def timing(case: Case, steps: Steps, count: int) -> Timing:
    """Blocks of `count` steps, profiled and not by turns, then in parts."""
    clock = Clock(DEVICES[case.device])
    plain, profiled = [], []
    with garbage_collector_off():
        for _ in range(ROUNDS):
            plain.append(clock.time_block(lambda: steps.run(unmarked, count), 1).host_seconds / count)
            with quiet_profiler(*activities(case)):
                profiled.append(clock.time_block(lambda: steps.traced(count), 1).host_seconds / count)
    if len(steps.parts) == 1:
        parts = {steps.parts[0]: statistics.median(plain)}
    else:
        found = measure_phases(lambda mark: steps.run(mark, count), clock, repetitions=1, rounds=ROUNDS)
        parts = {part: seconds / count for part, seconds in found.host_seconds.items()}
    return Timing(statistics.median(plain), statistics.median(profiled), parts)
