"""What a worker is asked for a round: to prepare a case, and to take its turn.

A turn is a block of repetitions between two readings of the one clock. What is repeated right before is not timed: the
caches, the clock rate and the other threads are still those of the last case.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.compilation import graphs_compiled
from bench.measure.pace import measure
from bench.workers import cold, training, workloads

if TYPE_CHECKING:
    from bench.workers.serve import State

# Repetitions after the first one, which of a compiled case takes seconds and says nothing of the others; a CUDA graph
# is recorded in the second.
FEWEST_WARM = 3
SIZED_SECONDS = 5e-3  # of a repetition of which a block has so few that one tells how many
SIZED_BLOCKS = 5
IDLE_SECONDS = 0.05  # after which a device that had nothing to do may have lowered its clocks


def prepare(
    state: State,
    id: str,
    case: dict[str, Any],
    warm_seconds: float = 0.0,
    sized: bool = False,
    cache: str | None = None,
    part_seconds: float | None = None,
) -> dict[str, Any]:
    """Builds a case and warms it up; no garbage is collected from the first one on.

    Args:
        state: Keeps the case under `id`.
        id: What it is called from then on.
        case: Its fields, with its threads resolved.
        warm_seconds: How long its repetition is run, at least a few times.
        sized: Whether the size of a block is known, and need not be found out.
        cache: A folder with what compilers have made of it before.
        part_seconds: Of an epoch that takes more than twice that, so much is timed.

    Returns:
        `first_call_seconds`, `warmup_seconds` with that, `repetition_seconds`, by which blocks are sized, and `steps`,
        how many of a repetition's steps a turn is to time; None for all.
    """
    if gc.isenabled():
        gc.collect()
        gc.disable()
    built = Case(**case)
    begin = time.perf_counter()
    if cache:
        cold.use_cache(cache)
    settings.apply(built)
    clock = Clock(DEVICES[built.device])
    if built.workload == "accuracy":
        prepared: Any = training.Trainings(built, state.images, clock)
        first = repetition = clock.time_block(prepared.warm_up, 1).host_seconds
    else:
        prepared = build(state, built)
        first = repetition = clock.time_block(prepared.first or prepared.repeat, 1).host_seconds
        if prepared.first is None:
            repetition = warm(prepared.repeat, clock, warm_seconds, sized)
    state.cases[id] = built, clock, prepared
    warmup = time.perf_counter() - begin
    return {
        "first_call_seconds": first,
        "warmup_seconds": warmup,
        "repetition_seconds": repetition,
        "steps": None if part_seconds is None else _steps(built, prepared, clock, part_seconds),
    }


def build(state: State, case: Case) -> workloads.Prepared:
    """A case of the reference network, or of the program of the user's own that the worker was told."""
    if WORKLOADS[case.workload].own:
        from bench.workers import own  # here, since it warms a step up as this module does

        return own.build(state, case)
    return workloads.BUILDERS[case.workload](case, state.images)


def _steps(case: Case, prepared: Any, clock: Clock, part_seconds: float) -> int | None:
    """Steps of an epoch that take so long; None where a whole one takes hardly longer, or has workers to start."""
    if not getattr(prepared, "beginning", None) or case.num_workers:
        return None
    few = workloads.FIRST_BATCHES
    step = clock.time_block(functools.partial(prepared.beginning, few), 1).host_seconds / few
    steps = math.ceil(part_seconds / step)
    return steps if 2 * steps * case.batch_size < prepared.images_per_repetition else None


def warm(repeat: Callable[[], object], clock: Clock, seconds: float, sized: bool = False) -> float:
    """Repeats until it is warm; seconds of a repetition, the best of a few blocks."""
    begin, count = clock.now(), 0
    while count < FEWEST_WARM or clock.now() - begin < seconds:
        repetition = clock.time_block(repeat, 1).host_seconds
        count += 1
    if sized or repetition >= SIZED_SECONDS:
        return repetition
    return min(clock.time_block(repeat, 5).host_seconds / 5 for _ in range(SIZED_BLOCKS))


def turn(
    state: State, id: str, repetitions: int, lead_seconds: float = 0.0, steps: int | None = None
) -> list[float | int | None]:
    """A block of a prepared case: its seconds per repetition, the same by the device's events, and graphs it compiled.

    Args:
        state: Has the case.
        id: Which.
        repetitions: In the block.
        lead_seconds: For how long at least it is repeated before that; once, if one repetition takes as long. Longer on
            a device that had nothing to do and so may have lowered its clocks.
        steps: Of an epoch, only its first so many are done, and their time is scaled to all of its images.
    """
    case, clock, prepared = state.cases[id]
    settings.apply(case)  # another case's, or another request's, may be in force
    if lead_seconds:
        idle = clock.now() - state.busy_until.get(case.device, -IDLE_SECONDS)
        lead_seconds += clock.device.wake_seconds if idle >= IDLE_SECONDS else 0.0
    begin = clock.now()
    while clock.now() - begin < lead_seconds:
        clock.time_block(prepared.repeat, 1)
    compiled = COMPILERS[case.compiler].mode
    graphs = graphs_compiled() if compiled else 0
    repeat, done = prepared.repeat, float(repetitions)
    if steps is not None:
        repeat = functools.partial(prepared.beginning, steps)
        done *= steps * case.batch_size / prepared.images_per_repetition
    block = clock.time_block(repeat, repetitions)
    state.busy_until[case.device] = clock.now()
    return [
        block.host_seconds / done,
        block.device_seconds / done if block.device_seconds is not None else None,
        graphs_compiled() - graphs if compiled else 0,
    ]


def train_seed(state: State, id: str, seed: int) -> dict[str, Any]:
    """A training from a seed, with the fields of `bench.workers.training.Trained`."""
    case, _, prepared = state.cases[id]
    settings.apply(case)
    return dict(vars(prepared.train(seed)))


def try_once(state: State, case: dict[str, Any]) -> None:
    """Runs one repetition untimed: does it work at all?"""
    built = Case(**case)
    settings.apply(built)
    if built.workload == "accuracy":
        training.Trainings(built, state.images, Clock(DEVICES[built.device])).train(0)
    else:
        build(state, built).repeat()


def pace(state: State, threads: int) -> dict[str, float | None]:
    """How fast the machine is right now, by fields of a round's `Beside`.

    Args:
        state: Has no part in it.
        threads: Of the cases on the CPU.
    """
    settings.use_threads(threads)
    return dataclasses.asdict(measure(Clock()))


def pin(state: State, core: int) -> None:
    """Lets the worker run on one core alone."""
    os.sched_setaffinity(0, {core})
