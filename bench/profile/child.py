"""What a worker is asked for a profile, each part of it in a process of its own.

The profiler, memray and a compiler that starts cold each change the process that they look at, and `fcnn` may be that
of another tree. Of what is timed, the answer also says what went on beside it.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

from bench.errors import BenchError, reason_of
from bench.workers.program import PROGRAM, import_from
from bench.workers.serve import State


@dataclasses.dataclass(frozen=True)
class ProfileRequest:
    """A request.

    Attributes:
        what: A name of `WAYS_TO_LOOK`.
        tree: Folder whose `fcnn` is looked at.
        case: The fields of the case, its threads resolved.
        dataset: A name of torchvision's, or `bench.workers.images.EMBEDDED`; `sha256` is what its images must have.
        file: Where the trace goes.
        program: Of the user's own, its path in `tree`, in place of the images; with the folder to run it in.
    """

    what: str
    tree: str
    case: dict[str, Any]
    dataset: str
    data: str
    sha256: str
    label: str
    steps: int
    seconds: float
    file: str
    program: str = ""
    folder: str = ""


@functools.cache
def _images(dataset: str, data: str) -> Any:
    from bench.measure import settings
    from bench.workers.images import find

    settings.use_threads(settings.default_threads())
    return find(dataset, data)


def _prepare(request: ProfileRequest, *, from_cold: bool = False) -> Any:
    from bench.axes.case import Case, why_impossible
    from bench.measure import settings
    from bench.profile.steps import steps_of
    from bench.workers import workloads

    case = Case(**request.case)
    if request.program:
        from bench.workers import own

        prepared = own.build(State(tree=request.tree, file=request.program), case)
        return case, prepared, steps_of(case, prepared)
    images = _images(request.dataset, request.data)
    if images.sha256 != request.sha256:
        raise RuntimeError(f"these are other images than were asked for: {images.label}")
    if reason := why_impossible(case, len(images.train)):  # here: the temporary folder is not the command's
        raise RuntimeError(reason)
    settings.apply(case, as_a_user=from_cold)
    prepared = workloads.BUILDERS[case.workload](case, images)
    return case, prepared, steps_of(case, prepared)


def _trace(request: ProfileRequest) -> dict[str, Any]:
    from bench.measure.counters import growth_bytes
    from bench.measure.surroundings import Surroundings
    from bench.profile import tracing
    from bench.profile.events import Ranges, gaps, kernels, operators, phases, settled, stacks
    from bench.profile.model import Cost
    from bench.profile.origins import origins

    case, prepared, steps = _prepare(request)
    step_seconds = tracing.warm_step_seconds(case, steps)
    surroundings = Surroundings(case.device)
    timing = tracing.timing(case, steps, max(5, round(tracing.BLOCK_SECONDS / step_seconds)))
    traced = tracing.trace(case, steps, request.steps, Path(request.file), timing.profiled_seconds)
    ranges = Ranges(traced.events, steps.parts, traced.count)
    host = settled(traced.events, ranges, steps.parts)
    of_events = [event.self_seconds for event in host if event.name not in steps.parts]
    overhead = tracing.overhead(case, steps, timing, of_events, traced.count)
    disturbed = surroundings.disturbance()
    parts = phases(host, ranges, steps.parts, traced.step_seconds, timing.part_seconds, overhead)
    called = operators(host, ranges, steps.parts, origins(case, steps, _lines_of(request)), overhead)
    cost = Cost(
        unprofiled_seconds=timing.unprofiled_seconds,
        profiled_seconds=timing.profiled_seconds,
        ranges_seconds=len(steps.parts) * overhead.inside_seconds + overhead.outside_seconds,
        event_seconds=sum(min(overhead.event_seconds, seconds) for seconds in of_events) / max(len(of_events), 1),
        events=len(of_events) / traced.count,
        traced_seconds=traced.step_seconds,
        corrected_seconds=sum(operator.self_seconds for operator in called) + parts[-1].corrected_seconds,
    )
    return {
        "cost": dataclasses.asdict(cost),
        "steps": traced.count,
        "phases": [dataclasses.asdict(phase) for phase in parts],
        "operators": [dataclasses.asdict(operator) for operator in called],
        "operator_stacks": stacks(host, ranges, steps.parts, overhead),
        "kernels": [dataclasses.asdict(kernel) for kernel in kernels(traced.events, traced.count)],
        "gaps": [dataclasses.asdict(gap) for gap in gaps(traced.events, ranges)],
        "growth_bytes": growth_bytes(prepared.watched),
        "disturbed": disturbed,
    }


def _lines_of(request: ProfileRequest) -> Path:
    """The folder whose lines are the program's."""
    return Path(request.tree) / ("" if request.program else PROGRAM)


def _loop(request: ProfileRequest) -> None:
    from fcnn.train import unmarked

    _, _, steps = _prepare(request)
    deadline = time.monotonic() + request.seconds
    while time.monotonic() < deadline:
        steps.run(unmarked, request.steps)


def _memory(request: ProfileRequest) -> dict[str, Any]:
    from bench.profile import memory
    from bench.profile.tracing import WARM_STEPS
    from fcnn.train import unmarked

    if not request.program:
        _images(request.dataset, request.data)  # as bytes, before anything is watched
    missing: dict[str, str] = {}
    answer: dict[str, Any] = {"missing": missing}

    def whole() -> None:
        _, _, steps = _prepare(request)
        steps.run(unmarked, 3)

    try:
        holders, peak, reserved = memory.held_at_peak(whole, Path(request.tree))
        answer["holders"] = [dataclasses.asdict(holder) for holder in holders]
        answer |= {"process_peak_bytes": peak, "reserved_bytes": reserved}
    except Exception as error:  # without one side, the others are still there
        missing["holders"] = _why(error)
    case, prepared, steps = _prepare(request)
    steps.run(unmarked, WARM_STEPS)
    try:
        answer["seconds"], answer["category_bytes"] = memory.timeline(case, steps)
    except Exception as error:
        missing["timeline"] = _why(error)
    from bench.axes.compilers import COMPILERS
    from bench.measure.clock import Clock
    from bench.measure.counters import count
    from bench.workers.own import compiles

    counters = count(
        prepared.counted,
        prepared.training,
        Clock(),
        compiled=COMPILERS[case.compiler].mode is not None or (bool(request.program) and compiles(State())),
        growth=False,
        captured_from=prepared.captured_from,
    )
    return answer | {"allocations": counters.allocations}


def _why(error: Exception) -> str:
    """Our own message, or the reason in another's."""
    return str(error) if isinstance(error, BenchError) else reason_of(error)


def _compiled(request: ProfileRequest) -> dict[str, Any]:
    from bench.measure.surroundings import Surroundings
    from bench.profile.compiling import compile_and_watch
    from bench.record import files
    from bench.workers.cold import use_cache
    from fcnn.train import unmarked

    with files.scratch() as cache:
        use_cache(str(cache))
        case, prepared, steps = _prepare(request, from_cold=True)
        # Of an epoch also the last, smaller batch, which gets a graph of its own.
        run = prepared.first or functools.partial(steps.run, unmarked, 3)
        surroundings = Surroundings(case.device)
        compiled = compile_and_watch(run)
        return {"compiled": dataclasses.asdict(compiled), "disturbed": surroundings.disturbance()}


WAYS_TO_LOOK = {"trace": _trace, "loop": _loop, "memory": _memory, "compiled": _compiled}


def look(state: State, **fields: Any) -> Any:
    """Answers the fields of `ProfileRequest`."""
    request = ProfileRequest(**fields)
    if request.program:
        from bench.workers import own

        own.take(state, request.tree, request.program, request.folder)
    else:
        import_from(Path(request.tree))
    return WAYS_TO_LOOK[request.what](request)
