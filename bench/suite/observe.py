"""One case, from its fresh model to all that is seen of it: samples, then parts, counts, energy and objections."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from bench.measure import honesty
from bench.measure.clock import Clock
from bench.measure.compilation import compilations
from bench.measure.counters import GROWTH_REPETITION_SECONDS, count
from bench.measure.energy import measure_energy
from bench.measure.phases import FEW_ROUNDS, measure_phases
from bench.measure.sampling import Rule, Samples, measure, sample_flags
from bench.measure.surroundings import Watch
from bench.record import files
from bench.record.model import Accuracy, Compilation, Counters, Energy, Flag, Phases
from bench.suite import cold, workloads
from bench.suite.expected import MARKED_SECONDS, Effort
from bench.suite.training import train_seeds
from fcnn.data import Images

PHASES_SECONDS = 2.0  # at most about this long is a case taken apart, if that gives it
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Observed:
    """What was seen of a case; the fields are those of `bench.record.model.Measurement`."""

    samples: Samples
    flags: list[Flag]
    images_per_repetition: int | None
    counters: Counters
    phases: Phases | None = None
    energy: Energy | None = None
    accuracy: Accuracy | None = None
    compilation: Compilation | None = None


def steps_an_epoch(case: Case, images: Images) -> int:
    """Steps an epoch, the last, smaller one included."""
    return math.ceil(len(images.train) / case.batch_size)


def last_batch_size(case: Case, images: Images) -> int:
    """Images in the last step of an epoch."""
    return len(images.train) - (steps_an_epoch(case, images) - 1) * case.batch_size


def observe(case: Case, images: Images, effort: Effort) -> Observed:
    """Measures `case`, whose settings are applied and whose threads are resolved; raises what the case raises."""
    see = _train if case.workload == "accuracy" else _time
    if case.compiler == "off":
        return see(case, images, effort)
    whole = WORKLOADS[case.workload].repetition != "step"
    sizes = dict.fromkeys((case.batch_size, last_batch_size(case, images) if whole else case.batch_size))
    with files.scratch() as cache:
        seconds = cold.compile_seconds(case, list(sizes), cache)
        with cold.compiler_cache(cache), compilations() as compiled:
            observed = see(case, images, effort)
    flags = list(observed.flags)
    if not compiled.graphs:
        flags.append(Flag("not-as-claimed", "torch.compile made no graph: what was timed is not compiled"))
    return dataclasses.replace(observed, flags=flags, compilation=Compilation(seconds, **vars(compiled)))


def _time(case: Case, images: Images, effort: Effort) -> Observed:
    """Times the case and then, outside of the timed blocks, takes it apart and counts."""
    clock, rule = Clock(DEVICES[case.device]), Rule(budget_seconds=effort.step_seconds)
    if case.workload == "epoch":
        rule = Rule(budget_seconds=effort.epoch_seconds, minimum_samples=effort.epochs)
    prepared = workloads.BUILDERS[case.workload](case, images)
    watch = Watch()
    samples = measure(prepared.repeat, clock, rule, when_warm=watch.start, first=prepared.first)
    seen = watch.seen(case, samples, rule, prepared.training)
    median = samples.summary.median
    phases = _phases(case, images, clock, samples, prepared.marked) if prepared.marked else None
    counted_seconds = median / (steps_an_epoch(case, images) if case.workload == "epoch" else 1)
    growth = effort.thorough and counted_seconds <= GROWTH_REPETITION_SECONDS
    counters = count(prepared.counted, prepared.training, clock, compiled=case.compiler != "off", growth=growth)
    energy = None
    if effort.thorough and case.workload in ("step", "epoch"):
        energy = measure_energy(prepared.repeat, clock, median)
    flags = samples.flags + honesty.flags(dataclasses.replace(seen, counters=counters, fed=prepared.fed))
    return Observed(samples, flags, prepared.images_per_repetition, counters, phases, energy)


def _phases(case: Case, images: Images, clock: Clock, samples: Samples, marked: Callable[..., object]) -> Phases:
    """As many rounds as a few seconds hold; of a long epoch its beginning, a few times."""
    seconds = samples.summary.median * samples.block_repetitions
    rounds = min(10, round(PHASES_SECONDS / (2 * seconds)))
    if case.workload != "epoch" or rounds >= FEWEST_ROUNDS:
        rounds = max(FEWEST_ROUNDS, rounds)
        return measure_phases(marked, clock, repetitions=samples.block_repetitions, rounds=rounds)
    steps = steps_an_epoch(case, images)
    first = min(steps, math.ceil(steps * MARKED_SECONDS / FEW_ROUNDS / seconds))
    beginning = functools.partial(marked, steps=first)
    return measure_phases(beginning, clock, repetitions=1, rounds=FEW_ROUNDS, share=first / steps)


def _train(case: Case, images: Images, effort: Effort) -> Observed:
    """Trains from several seeds; each training is a sample."""
    clock, rule = Clock(DEVICES[case.device]), Rule()
    watch = Watch()
    begin = clock.now()
    seconds, accuracy, training = train_seeds(case, images, clock, effort.seeds, watch.start)
    warmup = max(0.0, clock.now() - begin - sum(seconds))
    samples = Samples(seconds, None, 1, seconds[0], warmup, 0, sample_flags(seconds, rule))
    seen = watch.seen(case, samples, rule, training)
    prepared = workloads.step(case, images, training)
    counters = count(prepared.counted, prepared.training, clock, compiled=case.compiler != "off", growth=False)
    flags = samples.flags + honesty.flags(dataclasses.replace(seen, counters=counters))
    return Observed(samples, flags, len(images.train), counters, accuracy=accuracy)
