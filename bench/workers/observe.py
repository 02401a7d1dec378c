"""All that is to be seen of a case outside of timed blocks: its parts, its counts, its energy, and objections."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from bench.measure import settings, validity
from bench.measure.breakdown import measure_breakdown
from bench.measure.clock import Clock, clock_resolution_seconds
from bench.measure.compilation import compilations
from bench.measure.counters import GROWTH_REPETITION_SECONDS, count, flops_of
from bench.measure.device_use import device_use
from bench.measure.energy import measure_energy
from bench.measure.phases import FEW_ROUNDS, measure_phases
from bench.measure.validity import Observation
from bench.record.measurement import Breakdown, Flag, Phases
from bench.workers import cold, turns, workloads
from bench.workers.own import compiles

if TYPE_CHECKING:
    from bench.workers.serve import State
    from fcnn.data import Images

PHASES_SECONDS = 2.0  # at most about this long is a case taken apart, if that gives it
MARKED_SECONDS = 2.0  # of a long epoch are taken apart
FEWEST_ROUNDS = 5
FEWEST_IMAGES = (1, 2)  # batch normalisation takes the variance of a batch, and refuses a single image


def steps_an_epoch(case: Case, images: Images) -> int:
    """Steps an epoch, the last, smaller one included."""
    return math.ceil(len(images.train) / case.batch_size)


def observe(
    state: State,
    case: dict[str, Any],
    seconds: float,
    repetitions: int,
    thorough: bool,
    cache: str | None = None,
) -> dict[str, Any]:
    """Takes a case apart and counts.

    Args:
        state: Has the images.
        case: The case's fields, with its threads resolved.
        seconds: A repetition's median.
        repetitions: A timed block's.
        thorough: Whether to look for memory that 100 repetitions leave behind, and for the energy they take.
        cache: A folder with what compilers have made of it before.

    Returns:
        `counters`, `phases`, `breakdown`, `energy`, `device_use`, `compilation` and `flags`, as a record's
        `Measurement` has them; without `compilation`'s cold seconds.
    """
    built = Case(**case)
    if cache:
        cold.use_cache(cache)
    settings.apply(built)
    with compilations() as compiled:
        seen, fields, prepared = _observe(state, built, seconds, repetitions, thorough)
    flops = seen.counters.flops if seen.counters else 0
    breakdown = _breakdown(state, built, prepared, Clock(DEVICES[built.device]), flops)
    fields["breakdown"] = breakdown and dataclasses.asdict(breakdown)
    flags = validity.flags(seen)
    counters = seen.counters
    if WORKLOADS[built.workload].own and built.device != "cpu" and counters and counters.kernels_launched == 0:
        flags.append(Flag("not-as-claimed", f"no kernel ran on {built.device}: make() did not use its device"))
    if COMPILERS[built.compiler].mode:
        fields["compilation"] = vars(compiled)
        if not compiled.graphs:
            flags.append(Flag("not-as-claimed", "torch.compile made no graph: what was timed is not compiled"))
    return {**fields, "flags": [dataclasses.asdict(flag) for flag in flags]}


def _observe(
    state: State, case: Case, seconds: float, repetitions: int, thorough: bool
) -> tuple[Observation, dict[str, Any], workloads.Prepared]:
    clock, images, own = Clock(DEVICES[case.device]), state.images, WORKLOADS[case.workload].own
    training = case.workload == "accuracy"
    # A training is an epoch with evaluations, which are not timed.
    prepared = turns.build(state, dataclasses.replace(case, workload="epoch") if training else case)
    (prepared.first or prepared.repeat)()
    phases = None
    if prepared.marked:
        marked_seconds = MARKED_SECONDS if thorough else MARKED_SECONDS / 4
        phases = _phases(case, images, clock, seconds, repetitions, prepared.marked, marked_seconds)
    counted_seconds = seconds / (steps_an_epoch(case, images) if WORKLOADS[case.workload].repetition != "step" else 1)
    growth = thorough and not training and counted_seconds <= GROWTH_REPETITION_SECONDS
    counters = count(
        prepared.counted,
        prepared.training,
        clock,
        compiled=COMPILERS[case.compiler].mode is not None or (own and compiles(state)),
        growth=growth,
        captured_from=prepared.captured_from,
    )
    energy = None
    if thorough and (case.workload in ("step", "epoch") or own):
        energy = measure_energy(prepared.repeat, clock, seconds)
    use = None
    if WORKLOADS[case.workload].repetition == "step":  # their repetitions are too long for a few more
        use = device_use(prepared.repeat, clock, busy=energy is not None and energy.joules is not None)
    seen = Observation(
        case=case,
        training=None if own else prepared.training,  # which claims nothing
        counters=counters,
        fed=prepared.fed,
        block_seconds=seconds * repetitions,
        clock_resolution_seconds=clock_resolution_seconds(),
    )
    fields = {
        "counters": counters,
        "phases": phases,
        "breakdown": None,
        "energy": energy,
        "device_use": use,
    }
    return seen, {name: value and dataclasses.asdict(value) for name, value in fields.items()}, prepared


def _breakdown(state: State, case: Case, prepared: workloads.Prepared, clock: Clock, flops: int) -> Breakdown | None:
    """The step beside one with nothing to do, compiled as it is.

    Of a program of the user's own, it is beside a step of the fewest images; None where that cannot be had, or where
    the program's arithmetic takes no notice of how many it is asked for: it has as many `flops`.
    """
    if not WORKLOADS[case.workload].own:
        empty = workloads.empty(case, state.images)
        return measure_breakdown(prepared.counted, empty.repeat, clock, empty.marked)
    for images in FEWEST_IMAGES:
        try:
            few = turns.build(state, dataclasses.replace(case, batch_size=images))
            few.repeat()
            fewest = flops_of(few.counted)
        except Exception:  # what it raises is not known
            continue
        alike = images != case.batch_size and flops > 0 and fewest == flops
        return None if alike else measure_breakdown(prepared.counted, few.repeat, clock)
    return None


def _phases(
    case: Case,
    images: Images,
    clock: Clock,
    seconds: float,
    repetitions: int,
    marked: Callable[..., object],
    marked_seconds: float,
) -> Phases:
    """As many rounds as a few seconds hold; of a long epoch its beginning, a few times."""
    rounds = min(10, round(PHASES_SECONDS / (2 * seconds * repetitions)))
    if WORKLOADS[case.workload].repetition == "step" or rounds >= FEWEST_ROUNDS:
        rounds = max(FEWEST_ROUNDS, rounds)
        return measure_phases(marked, clock, repetitions=repetitions, rounds=rounds)
    steps = steps_an_epoch(case, images)
    first = min(steps, math.ceil(steps * marked_seconds / FEW_ROUNDS / seconds))
    beginning = functools.partial(marked, steps=first)
    return measure_phases(beginning, clock, repetitions=1, rounds=FEW_ROUNDS, share=first / steps)
