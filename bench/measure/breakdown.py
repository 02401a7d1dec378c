"""What a step's time is made of: the same step on next to nothing, and the time of its operators by kind.

A step of one image through a network with two hidden units calls the same operators as any other, in the same order
(with one hidden unit, torch takes other paths through a few of them). None of them has anything to do, so what such a
step takes is what does not depend on the size of anything: Python, dispatch, autograd, the optimizer's loop, kernel
launches. What is more in the step itself is work, and a profile of both tells in which operators that is. It makes
every call dearer; that cancels, since only what a kind of operator takes more in the step than in the empty one is of
interest (`bench.analyse.account`). On a GPU the times are of kernels and copies, which no profile makes longer.
"""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch.utils.flop_counter import flop_registry

from bench.measure import pace, page_faults
from bench.measure.clock import Clock, garbage_collector_off
from bench.measure.device_work import OTHER, PRODUCT, DeviceWork, device_work, silence_profilers
from bench.measure.phases import part_seconds
from bench.record.measurement import Breakdown

EMPTY = {"batch_size": 1, "hidden_size": 2}  # of a case, with which it has nothing to do
BLOCK_SECONDS = 2e-3
TURNS_SECONDS, FEWEST_TURNS, MOST_TURNS = 0.25, 5, 40
PROFILED_SECONDS, PROFILED_BLOCKS, MOST_PROFILED = 0.02, 4, 4  # of blocks, and of repetitions in each
FASTEST_SHARE = 0.25  # as in bench.analyse.statistics, whose scipy another environment's workers do not have
REST = "rest"  # of a profiled repetition, what is in no operator
STEP, NOTHING = "fcnn-bench: step", "fcnn-bench: empty step"  # ranges in the profile
COMPILED_CODE = "## Call CompiledFxGraph"  # torch's range around what Inductor has made, but for its products
# The operators whose floating-point operations torch can count: products of matrices, convolutions, attention.
_PRODUCTS = {f"aten::{operator.__name__}" for operator in flop_registry}


def measure_breakdown(
    step: Callable[[], object],
    empty: Callable[[], object],
    clock: Clock,
    marked: Callable[..., object] | None = None,
) -> Breakdown:
    """Lets blocks of a step and of the empty one take turns, then adds up the operators of both by kind.

    Args:
        step: One repetition, warm.
        empty: The same with nothing to do.
        clock: The device to wait for and the time source.
        marked: `empty`, given the mark to call after each of its parts; None for what has no parts.
    """
    with garbage_collector_off():
        sizes = {repeat: _repetitions(repeat, clock, BLOCK_SECONDS) for repeat in (step, empty)}
        seconds: dict[Callable[[], object], list[float]] = {step: [], empty: []}
        parts: list[Mapping[str, float]] = []
        paces: list[float] = []
        faults, counted = 0, 0
        begin = clock.now()
        while len(parts) < FEWEST_TURNS or (len(parts) < MOST_TURNS and clock.now() - begin < TURNS_SECONDS):
            for repeat in (step, empty) if len(parts) % 2 else (empty, step):
                clock.time_block(repeat, 1)  # the caches are the other's
                before = page_faults.taken() or 0
                seconds[repeat].append(clock.time_block(repeat, sizes[repeat]).host_seconds / sizes[repeat])
                if repeat is step:
                    faults += (page_faults.taken() or 0) - before
                    counted += sizes[step]
            parts.append(part_seconds(marked, clock, sizes[empty]) if marked else {})
            paces.append(pace.measure(clock).core_seconds)
        on_device = device_work(step, clock)
        if on_device is not None:
            without = device_work(empty, clock)
            work, nothing = _kinds(on_device), _kinds(without) if without else {}
        elif clock.device.torch_name == "cpu":
            work, nothing = _operator_seconds(step, empty, clock)
        else:
            work, nothing = {}, {}
    names = dict.fromkeys(name for one in parts for name in one)
    taken = fastest(seconds[step])
    nothing_to_do = fastest(seconds[empty])
    if clock.device.torch_name != "cpu":
        # Of blocks side by side: on a host that changes its speed, the share scatters by a quarter less than that of
        # the fastest blocks of each (of a step of 64 images, four times 40 of them).
        nothing_to_do = taken * statistics.median(
            one / beside for one, beside in zip(seconds[empty], seconds[step], strict=True)
        )
    faulted = None if page_faults.taken() is None else faults / counted
    return Breakdown(
        step_seconds=taken,
        empty_step_seconds=nothing_to_do,
        empty_parts_seconds={name: fastest([one.get(name, 0.0) for one in parts]) for name in names},
        work_seconds=work,
        empty_work_seconds=nothing,
        page_faults=faulted,
        page_fault_seconds=faulted and faulted * page_faults.seconds_each(),
        core_seconds=fastest(paces) or None,  # 0 by a clock that is simulated
    )


def _kinds(work: DeviceWork) -> dict[str, float]:
    return {**work.seconds_by_kind, "copy_call": work.copy_call_seconds}


def fastest(seconds: Iterable[float]) -> float:
    """The mean of the fastest quarter, at least of one."""
    ordered = sorted(seconds)
    kept = ordered[: max(1, round(FASTEST_SHARE * len(ordered)))]
    return math.fsum(kept) / len(kept)


def _repetitions(repeat: Callable[[], object], clock: Clock, seconds: float) -> int:
    took = min(clock.time_block(repeat, 1).host_seconds for _ in range(3))
    return max(1, math.ceil(seconds / max(took, 1e-9)))


def _operator_seconds(
    step: Callable[[], object], empty: Callable[[], object], clock: Clock
) -> tuple[dict[str, float], dict[str, float]]:
    """The time in the operators of a repetition, of the step and of the empty one, by kind."""
    repetitions = min(_repetitions(step, clock, PROFILED_SECONDS), MOST_PROFILED)
    silence_profilers()
    # Not torch.profiler's, whose events are Python objects made all at once: 0.4 s for what takes 0.01 s so.
    with torch.autograd.profiler.profile(use_kineto=True) as profile:
        for _ in range(PROFILED_BLOCKS):
            for name, repeat in ((STEP, step), (NOTHING, empty)):
                repeat()  # the caches are the other's
                for _ in range(repetitions):
                    with torch.profiler.record_function(name):
                        repeat()
    events = [
        ThreadEvent(event.start_thread_id(), event.start_ns(), event.start_ns() + event.duration_ns(), event.name())
        for event in profile.kineto_results.events()
    ]
    return seconds_by_kind(events, STEP), seconds_by_kind(events, NOTHING)


class ThreadEvent(NamedTuple):
    """What ran on a thread, from when to when by the profiler's clock."""

    thread: int
    begin_ns: int
    end_ns: int
    name: str


class _Open(NamedTuple):
    """An event that is not over: whose thread, until when, of which kind of operator, and within which range."""

    thread: int
    end_ns: int
    kind: str | None
    range: collections.Counter[str] | None


def seconds_by_kind(events: Iterable[ThreadEvent], name: str) -> dict[str, float]:
    """Of the ranges called `name`, the time in operators by kind and the rest; the mean of the fastest quarter of them.

    An operator's time is its own, that of others within it taken out, unless it is part of a product; together they are
    the range's. What runs on another thread than the range does, as on a GPU the backward pass, is not seen.
    """
    ranges, around = list[collections.Counter[str]](), list[_Open]()
    for event in sorted(events, key=lambda one: (one.thread, one.begin_ns, -one.end_ns)):
        while around and (around[-1].thread != event.thread or around[-1].end_ns <= event.begin_ns):
            around.pop()
        above = around[-1] if around else _Open(event.thread, event.end_ns, None, None)
        inside = above.range
        if event.name == name:
            inside = collections.Counter({REST: event.end_ns - event.begin_ns})
            ranges.append(inside)
        kind = PRODUCT if above.kind == PRODUCT else _kind(event.name)
        if inside is not None and event.name != name:  # it is taken out of what is around it
            inside[kind or REST] += event.end_ns - event.begin_ns
            inside[above.kind or REST] -= event.end_ns - event.begin_ns
        around.append(_Open(event.thread, event.end_ns, kind, inside))
    ranges.sort(key=lambda spent: spent.total())
    kept = ranges[: max(1, round(FASTEST_SHARE * len(ranges)))]
    return {kind: sum(one[kind] for one in kept) / len(kept) / 1e9 for kind in (PRODUCT, OTHER, REST)} if kept else {}


def _kind(name: str) -> str | None:
    if name in _PRODUCTS:
        return PRODUCT
    return OTHER if name.startswith(("aten::", COMPILED_CODE)) else None
