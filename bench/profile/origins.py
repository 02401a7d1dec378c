"""What each call of a step comes from: the program's line that caused it, its arithmetic, the memory that it took.

Recording memory and Python's calls takes several times as long as a trace for times, so this is a second pass. A step
makes the same calls every time: the passes are joined by a call's name and number.
"""

from __future__ import annotations

import bisect
import collections
import functools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.profiler import profile

from bench.axes.case import Case
from bench.measure.clock import garbage_collector_off
from bench.measure.device_work import ON_DEVICE
from bench.profile.arithmetic import flops_by_event, flops_of_calls
from bench.profile.events import Event, Origin, Ranges, numbered, within_steps
from bench.profile.steps import MarkedSteps
from bench.profile.tracing import activities
from fcnn.train import unmarked

RECORDED_STEPS = 3  # recorded, of which the second tells: neither the first nor the last


def origins(case: Case, steps: MarkedSteps, program: Path) -> dict[tuple[str, int], Origin]:
    """By a call's name and number in its step: line, FLOPs and allocated bytes, from the second of some steps.

    Args:
        case: What is run.
        steps: Its steps.
        program: The folder whose lines are named.
    """
    flops_of = flops_of_calls(functools.partial(steps.run, unmarked, 1))
    recording = profile(activities=activities(case), profile_memory=True, with_stack=True)
    with garbage_collector_off(), recording as recorded:
        steps.traced(RECORDED_STEPS)
    host = [event for event in recorded.events() or [] if str(event.device_type) != ON_DEVICE]
    flops = flops_by_event(host, flops_of, RECORDED_STEPS)
    sizes = _of_second_step(
        [(e.name, e.time_range.start, e.time_range.end, (flops.get(id(e), 0), max(0, _allocated(e)))) for e in host],
        steps,
    )
    lines = _of_second_step(list(_calls(recorded, modules_below(program))), steps)
    return {key: Origin(lines.get(key, ""), *map(float, size)) for key, size in sizes.items()}


def _allocated(event: Any) -> int:
    return int(event.self_cpu_memory_usage + event.self_device_memory_usage)


def _of_second_step(calls: Sequence[tuple[str, float, float, Any]], steps: MarkedSteps) -> dict[tuple[str, int], Any]:
    """What is known of each (name, begin, end, known), by the call's name and number in the second step."""
    known = {Event((name,), begin, end, 0.0): what for name, begin, end, what in calls}
    ranges = Ranges(list(known), steps.parts, RECORDED_STEPS)
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
