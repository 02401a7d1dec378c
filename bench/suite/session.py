"""One run of the suite: from planned cases to a record. Used by the pytest modules and by nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.analyse import trust
from bench.axes.case import Case, command, why_impossible
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from bench.measure import facts, honesty, settings, yardsticks
from bench.measure.clock import Clock
from bench.measure.counters import GROWTH_REPETITION_SECONDS, compiled_graphs, count
from bench.measure.phases import measure_phases
from bench.measure.sampling import Rule, Samples, measure, sample_flags
from bench.record.model import (
    Accuracy,
    Counters,
    Dataset,
    Measurement,
    Phases,
    Record,
    Unmeasured,
    Yardstick,
)
from bench.suite import cold, workloads
from bench.suite.expected import HURRIED_SECONDS, Effort
from bench.suite.training import train_seeds
from fcnn.data import Images, load_images

PHASES_SECONDS = 2.0  # at most about this long is a case taken apart, if that gives it
FEWEST_ROUNDS = 5


@functools.cache
def images(dataset: str, data: Path | None) -> Images:
    """The verified images, loaded once a process; the first work that torch does in a run."""
    settings.use_threads(settings.default_threads())
    return load_images(dataset, data)


@dataclass
class Session:
    """Collects what a run measures.

    Attributes:
        planned: Every case of the run by id, in order.
        effort: How much to measure of each case.
    """

    images: Images
    dataset: str
    planned: dict[str, Case]
    effort: Effort = field(default_factory=Effort)
    command: str = "pytest --benchmark-only"
    measurements: list[Measurement] = field(default_factory=list)
    unmeasured: list[Unmeasured] = field(default_factory=list)
    yardsticks: list[Yardstick] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def impossible(self, id: str) -> str | None:
        """The reason why the planned case cannot be measured here, noted in the record; None if it can be."""
        case = self.planned[id]
        reason = why_impossible(case, len(self.images.train))
        if reason:
            self._note(id, "impossible", reason)
        return reason

    def calibrate(self) -> None:
        """Times the yardsticks of every device that the plan can use; the second time, for drift."""
        found = []
        for device in dict.fromkeys(case.device for case in self.planned.values()):
            if not DEVICES[device].why_missing():
                precisions = {case.precision for case in self.planned.values() if case.device == device}
                found += yardsticks.run(device, settings.default_threads(), precisions)
        self.yardsticks = yardsticks.joined(self.yardsticks, found) if self.yardsticks else found

    def run(self, id: str) -> Measurement:
        """Measures one planned case and keeps the result; what a case raises is noted and raised again."""
        case = self._resolved(id)
        try:
            measurement = self._measure(id, case)
        except KeyboardInterrupt:
            self._note(id, "interrupted", "stopped by the user while it was measured")
            raise
        except Exception as error:
            self._note(id, "failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            raise
        self.measurements.append(measurement)
        return measurement

    def try_once(self, id: str) -> None:
        """Runs one repetition of a case untimed, for `--benchmark-disable`: does it work at all?"""
        case = self._resolved(id)
        settings.apply(case)
        if case.workload == "accuracy":
            train_seeds(case, self.images, Clock(DEVICES[case.device]), 1)
        else:
            workloads.BUILDERS[case.workload](case, self.images).repeat()

    def record(self, *, interrupted: bool) -> Record:
        """The record of what was measured so far; planned cases that had no turn are noted as interrupted."""
        seen = {m.id for m in self.measurements} | {u.id for u in self.unmeasured}
        if interrupted:
            for id in self.planned:
                if id not in seen:
                    self._note(id, "interrupted", "the run was stopped before its turn")
        devices = sorted({case.device for case in self.planned.values()})
        record = Record(
            created_utc=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            command=self.command,
            duration_seconds=time.monotonic() - self.started,
            partial=interrupted,
            commit=facts.commit(Path(__file__).parent),
            machine=facts.machine(devices),
            environment=facts.environment(devices),
            dataset=Dataset(
                name=self.images.name,
                label=self.images.label,
                sha256=self.images.sha256,
                train_images=len(self.images.train),
                test_images=len(self.images.test),
                fallback_reason=self.images.fallback_reason,
            ),
            measurements=self.measurements,
            unmeasured=self.unmeasured,
            yardsticks=self.yardsticks,
        )
        return trust.judged(record)

    def _resolved(self, id: str) -> Case:
        case = self.planned[id]
        return dataclasses.replace(case, threads=case.threads or settings.default_threads())

    def _note(self, id: str, kind: str, reason: str) -> None:
        self.unmeasured.append(Unmeasured(id=id, case=self._resolved(id), kind=kind, reason=reason))

    def _measure(self, id: str, case: Case) -> Measurement:
        settings.apply(case)
        rule = Rule(budget_seconds=self.effort.step_seconds)
        if case.workload == "epoch":
            rule = Rule(budget_seconds=self.effort.epoch_seconds, minimum_samples=self.effort.epochs)
        steps = self._steps(case)
        whole = WORKLOADS[case.workload].repetition != "step"
        last = len(self.images.train) - (steps - 1) * case.batch_size
        compiled, compile_seconds, graphs = case.compiler != "off", None, {}
        if compiled:
            with tempfile.TemporaryDirectory(prefix="fcnn-bench-inductor-", ignore_cleanup_errors=True) as cache:
                sizes = dict.fromkeys((case.batch_size, last if whole else case.batch_size))
                compile_seconds = cold.compile_seconds(case, list(sizes), Path(cache))
                with cold.compiler_cache(Path(cache)), compiled_graphs() as graphs:
                    observed = self._observe(case, Clock(DEVICES[case.device]), rule)
        else:
            observed = self._observe(case, Clock(DEVICES[case.device]), rule)
        samples = observed.samples
        return Measurement(
            id=id,
            case=case,
            command=command(self.planned[id], dataset=self.dataset),
            samples_seconds=samples.seconds,
            device_samples_seconds=samples.device_seconds,
            block_repetitions=samples.block_repetitions,
            images_per_repetition=observed.images_per_repetition,
            steps_per_epoch=steps if whole else None,
            last_batch_size=last if whole else None,
            warmup_seconds=samples.warmup_seconds,
            warmup_blocks=samples.warmup_blocks,
            first_call_seconds=samples.first_call_seconds,
            compile_seconds=compile_seconds,
            graphs=graphs.get("graphs"),
            graph_breaks=graphs.get("graph_breaks"),
            counters=observed.counters,
            phases=observed.phases,
            accuracy=observed.accuracy,
            flags=samples.flags + honesty.flags(observed.seen),
        )

    def _observe(self, case: Case, clock: Clock, rule: Rule) -> _Observed:
        """Times the case and then, outside of the timed blocks, counts and takes it apart."""
        if case.workload == "accuracy":
            return self._train(case, clock, rule)
        prepared = workloads.BUILDERS[case.workload](case, self.images)
        watch = honesty.Watch()
        samples = measure(prepared.repeat, clock, rule, when_warm=watch.start, first=prepared.first)
        seen = watch.seen(case, samples, rule, prepared.training)
        phases = self._phases(case, prepared.marked, clock, samples) if prepared.marked else None
        counted_seconds = samples.summary.median / (self._steps(case) if case.workload == "epoch" else 1)
        growth = self.effort.thorough and counted_seconds <= GROWTH_REPETITION_SECONDS
        counters = count(prepared.counted, prepared.training, growth=growth)
        return _Observed(samples, seen, prepared.images_per_repetition, counters, phases)

    def _steps(self, case: Case) -> int:
        """Steps an epoch."""
        return math.ceil(len(self.images.train) / case.batch_size)

    def _phases(self, case: Case, marked: Callable[..., object], clock: Clock, samples: Samples) -> Phases:
        """As many rounds as a few seconds hold; of a long epoch one, in a hurry its beginning."""
        seconds = samples.summary.median * samples.block_repetitions
        rounds = min(10, round(PHASES_SECONDS / (2 * seconds)))
        if case.workload != "epoch" or rounds >= FEWEST_ROUNDS:
            rounds = max(FEWEST_ROUNDS, rounds)
            return measure_phases(marked, clock, repetitions=samples.block_repetitions, rounds=rounds)
        steps = self._steps(case)
        first = steps if self.effort.thorough else min(steps, math.ceil(steps * HURRIED_SECONDS / seconds))
        return measure_phases(
            functools.partial(marked, steps=first),
            clock,
            repetitions=1,
            rounds=1,
            unmarked_seconds=seconds,
            share=first / steps,
        )

    def _train(self, case: Case, clock: Clock, rule: Rule) -> _Observed:
        watch = honesty.Watch()
        watch.start()
        begin = clock.now()
        seconds, accuracy = train_seeds(case, self.images, clock, self.effort.seeds)
        warmup = max(0.0, clock.now() - begin - sum(seconds))
        samples = Samples(seconds, None, 1, seconds[0], warmup, 0, sample_flags(seconds, rule))
        prepared = workloads.step(case, self.images)
        seen = watch.seen(case, samples, rule, prepared.training)
        counters = count(prepared.counted, prepared.training, growth=False)
        return _Observed(samples, seen, len(self.images.train), counters, None, accuracy)


@dataclass(frozen=True)
class _Observed:
    samples: Samples
    seen: honesty.Seen
    images_per_repetition: int | None
    counters: Counters | None
    phases: Phases | None
    accuracy: Accuracy | None = None
