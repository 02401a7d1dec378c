"""One run of the suite: from planned cases to a record. Used by the pytest modules and by nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
import time
from dataclasses import dataclass, field

from bench.analyse import trust
from bench.axes.case import Case, command_words, why_impossible
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from bench.errors import reason_of
from bench.measure import facts, settings, yardsticks
from bench.measure.clock import Clock
from bench.record import store
from bench.record.model import Dataset, Measurement, Record, Unmeasured, Yardstick
from bench.suite import workloads
from bench.suite.expected import Effort
from bench.suite.observe import last_batch_size, observe, steps_an_epoch
from bench.suite.training import train_seeds
from bench.text import one_line
from fcnn.data import Images

INTERRUPTED = "interrupted"


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
            self.unmeasured.append(self._gap(id, "impossible", reason))
        return reason

    def calibrate(self) -> None:
        """Times the yardsticks of every device that the plan can use; the second time, for drift.

        With the threads of the cases; where these differ, with the most of them, so that a peak is one for all.
        """
        threads = max(self._resolved(id).threads for id in self.planned)
        found = []
        for device in dict.fromkeys(case.device for case in self.planned.values()):
            if not DEVICES[device].why_missing():
                precisions = {case.precision for case in self.planned.values() if case.device == device}
                found += yardsticks.run(device, threads, precisions)
        self.yardsticks = yardsticks.joined(self.yardsticks, found) if self.yardsticks else found

    def run(self, id: str) -> Measurement:
        """Measures one planned case and keeps the result; what a case raises is noted and raised again."""
        case = self._resolved(id)
        try:
            measurement = self._measure(id, case)
            store.check_measurement(measurement)  # one that no record may hold would cost the whole of it
        except KeyboardInterrupt:
            self.unmeasured.append(self._gap(id, INTERRUPTED, "stopped by the user while it was measured"))
            raise
        except (Exception, SystemExit) as error:
            reason = reason_of(error)
            self.unmeasured.append(self._gap(id, "failed", reason))
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

    def missing(self) -> list[str]:
        """Planned cases that have neither a number nor a reason of their own: the run was stopped."""
        seen = {m.id for m in self.measurements} | {u.id for u in self.unmeasured if u.kind != INTERRUPTED}
        return [id for id in self.planned if id not in seen]

    def record(self) -> Record:
        """The record of what was measured so far, partial if planned cases are missing, which are noted in it."""
        noted, missing = {u.id for u in self.unmeasured}, self.missing()
        stopped = "the run was stopped before its turn"
        gaps = [self._gap(id, INTERRUPTED, stopped) for id in missing if id not in noted]
        devices = sorted({case.device for case in self.planned.values()})
        record = Record(
            created_utc=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            command=self.command,
            duration_seconds=time.monotonic() - self.started,
            partial=bool(missing),
            commit=facts.commit(),
            machine=facts.machine(),
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
            unmeasured=[*self.unmeasured, *gaps],
            yardsticks=self.yardsticks,
        )
        return trust.judged(record)

    def _resolved(self, id: str) -> Case:
        case = self.planned[id]
        return dataclasses.replace(case, threads=case.threads or settings.default_threads())

    def _gap(self, id: str, kind: str, reason: str) -> Unmeasured:
        return Unmeasured(id=id, case=self._resolved(id), kind=kind, reason=one_line(reason) or kind)

    def _command(self, id: str) -> str:
        verb = ["run"] if self.effort.thorough else []
        words = ["fcnn-bench", *verb, *command_words(self.planned[id], dataset=self.dataset), *self.effort.words()]
        return shlex.join(words)

    def _measure(self, id: str, case: Case) -> Measurement:
        settings.apply(case)
        observed = observe(case, self.images, self.effort)
        samples, whole = observed.samples, WORKLOADS[case.workload].repetition != "step"
        return Measurement(
            id=id,
            case=case,
            command=self._command(id),
            samples_seconds=samples.seconds,
            device_samples_seconds=samples.device_seconds,
            block_repetitions=samples.block_repetitions,
            images_per_repetition=observed.images_per_repetition,
            steps_per_epoch=steps_an_epoch(case, self.images) if whole else None,
            last_batch_size=last_batch_size(case, self.images) if whole else None,
            warmup_seconds=samples.warmup_seconds,
            warmup_blocks=samples.warmup_blocks,
            first_call_seconds=samples.first_call_seconds,
            compilation=observed.compilation,
            counters=observed.counters,
            phases=observed.phases,
            energy=observed.energy,
            accuracy=observed.accuracy,
            flags=observed.flags,
        )
