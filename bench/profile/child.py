"""A process of its own for each part of a profile: `python -m bench.profile.child`, a request on standard input.

The profiler, memray and a compiler that starts cold each change the process that they look at, and `fcnn` may be that
of another tree. Answers with JSON on standard output's last line.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EMBEDDED = "embedded"


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        what: A name of `PARTS`.
        tree: Folder whose `fcnn` is looked at.
        case: The fields of the case, its threads resolved.
        dataset: A name of torchvision's, or `EMBEDDED`.
        file: Where the trace goes.
    """

    what: str
    tree: str
    case: dict[str, Any]
    dataset: str
    data: str | None
    steps: int
    seconds: float
    file: str


@functools.cache
def _images(dataset: str, data: str | None) -> Any:
    from bench.measure import settings
    from fcnn.data import embedded_images, load_images

    settings.use_threads(settings.default_threads())
    if dataset == EMBEDDED:  # the parent has found no others, and need not look again
        return embedded_images("the profiled program has no others")
    return load_images(dataset, Path(data) if data else None)


def _prepare(asked: Asked) -> Any:
    from bench.axes.case import Case
    from bench.measure import settings
    from bench.profile.tracing import steps_of
    from bench.suite import workloads

    images = _images(asked.dataset, asked.data)
    case = Case(**asked.case)
    settings.apply(case)
    prepared = workloads.BUILDERS[case.workload](case, images)
    return case, prepared, steps_of(case, prepared)


def _trace(asked: Asked) -> dict[str, Any]:
    from bench.measure.counters import growth_bytes
    from bench.profile import tracing
    from bench.profile.events import BETWEEN, Ranges, gaps, kernels, operators, stacks, within_steps
    from bench.profile.model import Cost, PhaseTime
    from fcnn.train import unmarked

    case, prepared, steps = _prepare(asked)
    steps.run(unmarked, tracing.WARM_STEPS)
    begin = time.perf_counter()
    steps.run(unmarked, tracing.WARM_STEPS)
    step_seconds = (time.perf_counter() - begin) / tracing.WARM_STEPS
    timing = tracing.timing(case, steps, max(5, round(tracing.BLOCK_SECONDS / step_seconds)))
    events, count = tracing.trace(case, steps, asked.steps, Path(asked.file))
    ranges = Ranges(events, steps.parts, count)
    host = within_steps(events, ranges)
    per_step = len(host) / count + 1  # and the step's own range
    event_seconds = max(0.0, (timing.profiled_seconds - timing.unprofiled_seconds) / per_step)
    traced = sum(end - start for start, end in ranges.steps) / count
    cost = Cost(timing.unprofiled_seconds, timing.profiled_seconds, event_seconds, traced, per_step)
    origins = tracing.origins(case, steps)
    phases: list[PhaseTime] = []
    for part in (*steps.parts, "rest"):
        of_part = [e for e in host if (e.name if e.name in steps.parts else ranges.part(e.begin)) == part]
        seconds = sum(event.self_seconds for event in of_part) / count
        if part == "rest":
            seconds = traced - sum(phase.traced_seconds for phase in phases)
        number = len(of_part) / count
        plain = timing.part_seconds.get(part, 0.0)
        phases.append(PhaseTime(part, plain, seconds, max(0.0, seconds - number * event_seconds), number))
    return {
        "cost": dataclasses.asdict(cost),
        "steps": count,
        "phases": [dataclasses.asdict(phase) for phase in phases],
        "operators": [dataclasses.asdict(o) for o in operators(events, ranges, steps.parts, origins, event_seconds)],
        "operator_stacks": stacks(events, ranges, event_seconds),
        "kernels": [dataclasses.asdict(kernel) for kernel in kernels(events, count)],
        "gaps": [dataclasses.asdict(gap) for gap in gaps(events, ranges)],
        "growth_bytes": growth_bytes(prepared.counted),
        "between": BETWEEN,
    }


def _loop(asked: Asked) -> None:
    from fcnn.train import unmarked

    _, _, steps = _prepare(asked)
    deadline = time.monotonic() + asked.seconds
    while time.monotonic() < deadline:
        steps.run(unmarked, asked.steps)


def _memory(asked: Asked) -> dict[str, Any]:
    from bench.profile import memory
    from bench.profile.tracing import WARM_STEPS
    from fcnn.train import unmarked

    _images(asked.dataset, asked.data)  # as bytes, before anything is watched
    missing: dict[str, str] = {}
    found: dict[str, Any] = {"missing": missing}

    def whole() -> None:
        _, _, steps = _prepare(asked)
        steps.run(unmarked, 3)

    try:
        peak, holders = memory.held_at_peak(whole, Path(asked.tree))
        found |= {"process_peak_bytes": peak, "holders": [dataclasses.asdict(holder) for holder in holders]}
    except RuntimeError as error:
        missing["holders"] = str(error)
    case, prepared, steps = _prepare(asked)
    steps.run(unmarked, WARM_STEPS)
    try:
        found["seconds"], found["category_bytes"] = memory.timeline(case, steps)
    except RuntimeError as error:
        missing["timeline"] = str(error)
    from bench.measure.clock import Clock
    from bench.measure.counters import count

    counters = count(prepared.counted, prepared.training, Clock(), compiled=case.compiler != "off", growth=False)
    return found | {"allocations": counters.allocations}


def _compiled(asked: Asked) -> dict[str, Any]:
    from bench.profile.compiling import compile_and_watch
    from bench.suite.cold import compiler_cache
    from fcnn.train import unmarked

    with tempfile.TemporaryDirectory() as cache, compiler_cache(Path(cache)):
        _, _, steps = _prepare(asked)
        return dataclasses.asdict(compile_and_watch(functools.partial(steps.run, unmarked, 3)))


PARTS = {"trace": _trace, "loop": _loop, "memory": _memory, "compiled": _compiled}


def main() -> None:
    """Answers one request."""
    asked = Asked(**json.loads(sys.stdin.read()))
    sys.path.insert(0, asked.tree)
    import fcnn

    if not Path(str(fcnn.__file__)).is_relative_to(asked.tree):
        raise RuntimeError(f"fcnn was imported from {fcnn.__file__}, not from {asked.tree}")
    print(json.dumps(PARTS[asked.what](asked)))


if __name__ == "__main__":
    main()
