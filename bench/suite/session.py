"""A run, from its journal's first line to its last: rounds, and what is seen outside of them.

Imports no torch: what needs it is asked of workers.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import math
import random
import statistics
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import interruption
from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.workloads import WORKLOADS
from bench.errors import BenchError
from bench.measure.surroundings import Watch
from bench.record import files
from bench.record.folding import folded
from bench.record.journal import INTERRUPTED, Journal, digits, failures, of_kind
from bench.record.model import Record
from bench.suite import costs, own
from bench.suite.engine import Group, Rounds, SayProgress
from bench.suite.plan import Plan, Share
from bench.workers.conversation import LONG_LIMIT_SECONDS, WorkerError
from bench.workers.images import EMBEDDED
from bench.workers.process import ask_once, empty_compiler_caches
from bench.workers.start import Workers

MOST_CALIBRATIONS = 3
COMPILING = "compiling failed"


class Session:
    """Measures what a journal's header plans and its lines lack.

    Args:
        workers: Where to ask.
        journal: Where everything goes.
        say: Told what is under way, and how many of the plan's seconds are done.
    """

    def __init__(
        self, workers: Workers, journal: Journal, plan: Plan, say: SayProgress = lambda what, seconds: None
    ) -> None:
        self._workers, self._journal, self._plan, self._say = workers, journal, plan, say
        self._done = 0.0

    @property
    def cases(self) -> dict[str, Case]:
        """The cases that can be measured here and have not failed."""
        failed = failures(self._journal.lines)
        planned = self._journal.lines[0]["cases"]
        return {id: Case(**one["case"]) for id, one in planned.items() if not one["impossible"] and id not in failed}

    def measure(self) -> None:
        """All of it, up to the journal's end, or to where no worker can be had any more.

        Raises:
            KeyboardInterrupt: It was stopped; what was measured by then is in the journal.
        """
        try:
            self._measure()
        except BenchError as error:
            self._journal.write("problem", what=f"the run cannot go on: {error}")

    def _measure(self) -> None:
        began, resumed = time.monotonic(), len(self._journal.lines) > 1
        with files.scratch() as folder:
            self._calibrate(1)
            caches = self._compile(folder)
            took = dict[str, float]()
            for name in costs.groups(self.cases):
                share, begin, started = self._plan.shares[name], self._done, time.monotonic()

                def say(what: str, seconds: float, begin: float = begin, share: Share = share) -> None:
                    self._say(what, begin + min(seconds, share.seconds))

                self._rounds(name, share, caches, say)
                self._done, took[name] = begin + share.seconds, (time.monotonic() - started) / share.processes
            self._observe(caches)
            self._start_up(folder)
            if "steps" in took and not resumed:
                self._fill(began, took["steps"], caches)
            self._calibrate(self._plan.calibrations)
        self._journal.write("end")

    def _rounds(self, name: str, share: Share, caches: Mapping[str, str], say: SayProgress) -> None:
        """As many rounds of a group as its share has."""
        members = costs.groups(self.cases).get(name, {})
        gpu = self._gpu({case.device for case in members.values()})
        part = costs.PART_SECONDS if name == "epochs" and not self._plan.effort.thorough else None
        group = Group(name, members, share, caches, gpu, part)
        Rounds(group, self._workers.start, self._journal, random.Random(), say).measure()

    def _gpu(self, devices: Collection[str]) -> str | None:
        """The uuid of the GPU, where it is one of these devices."""
        return self._journal.lines[0]["gpu"] if "cuda" in devices else None

    def _fill(self, began: float, process_seconds: float, caches: Mapping[str, str]) -> None:
        """Further processes of steps in what is left of a plan that took less than was expected.

        They are what intervals are over, and later than the others: what lasted for seconds on the machine is not the
        same for all.
        """

        def passed() -> float:
            return time.monotonic() - began

        share = self._plan.shares["steps"]
        while self.cases and self._plan.has_room(passed(), process_seconds, share.processes):
            share = dataclasses.replace(share, processes=share.processes + 1)
            self._rounds("steps", share, caches, lambda what, seconds: self._say(what, passed()))

    def _calibrate(self, times: int) -> None:
        """The calibrations, unless they have been timed so many times."""
        if len(of_kind(self._journal.lines, "calibration")) >= times or not self.cases:
            return
        self._say("calibration", self._done)
        cases = self.cases.values()
        devices = list(dict.fromkeys(case.device for case in cases))
        precisions = {name: sorted({c.precision for c in cases if c.device == name}) for name in devices}
        # With the threads of the cases; where these differ, with the most of them, so that a peak is one for all.
        threads = max(case.threads for case in cases)
        try:
            with self._workers.start("the calibration") as worker:
                calibrations = self._calibrated(worker, devices=devices, threads=threads, precisions=precisions)
        except WorkerError as error:  # without a calibration there is no bound, and no number is lost
            self._journal.write("problem", what=f"the calibration failed: {error}")
        else:
            self._journal.write("calibration", calibrations=calibrations)
        self._done += self._plan.calibrate_seconds / self._plan.calibrations

    def _calibrated(self, worker: Any, devices: list[str], **arguments: Any) -> list[dict[str, Any]]:
        """Of every calibration its quickest probe, of as many as it takes until nothing disturbs, a few at most.

        A peak that was looked for beside others is too low, and what is measured later then seems impossible. That its
        products bring a GPU to its limit of power is no disturbance: so they would again, and so do the cases.
        """
        probes: list[list[dict[str, Any]]] = []
        disturbed: str | None = ""
        while disturbed is not None and len(probes) < MOST_CALIBRATIONS:
            watch = Watch(worker.pid, self._gpu(devices), clocks=False)
            probes.append(worker.ask("calibrate", LONG_LIMIT_SECONDS, devices=devices, **arguments))
            _, disturbed = watch.seen()
        return [min(alike, key=_quickest) for alike in zip(*probes, strict=True)]

    def _compile(self, folder: Path) -> dict[str, str]:
        """Compiles every compiled case from cold; by id, the folder with what compilers made of it."""
        caches = {}
        known = {line["id"] for line in of_kind(self._journal.lines, "compiled")}
        compiled = {id: case for id, case in self.cases.items() if COMPILERS[case.compiler].mode}
        for number, (id, case) in enumerate(compiled.items()):
            interruption.check()
            self._say(f"{id}: compiling from cold", self._done)
            cache = folder / str(number)
            cache.mkdir()
            try:
                seconds = ask_once(
                    "compile_cold", LONG_LIMIT_SECONDS, "compiling", empty_compiler_caches(cache),
                    case=dataclasses.asdict(case), batch_sizes=self._sizes(case),
                )  # fmt: skip
            except WorkerError as error:
                self._journal.write("failed", id=id, reason=f"{COMPILING}: {error}")
            else:
                caches[id] = str(cache)
                if id not in known:
                    self._journal.write("compiled", id=id, cold_seconds=digits(seconds))
            self._done += self._plan.compile_seconds / len(compiled)
        return caches

    def _sizes(self, case: Case) -> list[int]:
        """The batch sizes that occur in a repetition."""
        if WORKLOADS[case.workload].repetition == "step":
            return [case.batch_size]
        last = self._journal.lines[0]["dataset"]["train_images"] % case.batch_size
        return [case.batch_size, *([last] if last else [])]

    def _observe(self, caches: Mapping[str, str]) -> None:
        """Takes every case apart that has samples and was not taken apart before."""
        seen = {line["id"] for line in of_kind(self._journal.lines, "observed")}
        record = folded(self._journal.lines)
        wanted = [m for m in record.measurements if m.id not in seen]
        # What is compiled needs a process each; the others share one, as long as none of those is between them.
        wanted.sort(key=lambda m: COMPILERS[m.case.compiler].mode is not None)
        with _Kept(self._workers) as kept:
            for measurement in wanted:
                interruption.check()
                self._say(f"{measurement.id}: taking it apart", self._done)
                case = measurement.case
                try:
                    answer = kept.worker(fresh=COMPILERS[case.compiler].mode is not None).ask(
                        "observe", LONG_LIMIT_SECONDS,
                        case=dataclasses.asdict(case), seconds=statistics.median(measurement.samples_seconds),
                        repetitions=measurement.block_repetitions,
                        thorough=self._plan.effort.thorough, cache=caches.get(measurement.id),
                    )  # fmt: skip
                    self._journal.write("observed", id=measurement.id, **answer)
                except (WorkerError, ValueError) as error:
                    kept.drop()
                    reason = str(error) if isinstance(error, WorkerError) else f"it has no number: {error}"
                    self._journal.write("failed", id=measurement.id, reason=reason)
                self._done += self._plan.observe_seconds / len(wanted)

    def _start_up(self, folder: Path) -> None:
        """Processes from nothing to the target, which take turns, as far as the journal lacks them."""
        if not self._plan.effort.thorough:
            return
        wanted = {id: case for id, case in self.cases.items() if costs.starts(case)}
        # What could not be had once is not looked for again: that would wait for a network that is not there.
        fallen = {"dataset": EMBEDDED} if self._journal.lines[0]["dataset"]["fallback_reason"] else {}
        for number, id in enumerate(itertools.chain.from_iterable([list(wanted)] * costs.START_UPS)):
            done = collections.Counter(line["id"] for line in of_kind(self._journal.lines, "started"))
            if done[id] > number // len(wanted):
                continue
            interruption.check()
            self._say(f"{id}: from a cold start", self._done)
            try:
                with tempfile.TemporaryDirectory(dir=folder) as empty:
                    seconds = self._workers.afresh(
                        "start_up", LONG_LIMIT_SECONDS, "starting", empty_compiler_caches(Path(empty)),
                        case=dataclasses.asdict(wanted[id]), asked_at=time.monotonic(), **fallen,
                    )  # fmt: skip
            except WorkerError as error:  # it has its number, and only what starting takes is not known
                self._journal.write("problem", what=f"{id}: no cold start: {error}")
                return
            self._journal.write("started", id=id, start_up={n: s and digits(s) for n, s in seconds.items()})
            self._done += costs.START_UP_SECONDS


def _quickest(calibration: Mapping[str, Any]) -> float:
    """Seconds per unit of work; infinite for one that could not be timed."""
    samples = calibration["samples_seconds"]
    return min(samples) / calibration["work_per_repetition"] if samples else math.inf


class _Kept:
    """A worker that is kept from one case to the next, as long as none fails."""

    def __init__(self, workers: Workers) -> None:
        self._workers, self._stack = workers, contextlib.ExitStack()
        self._worker: Any = None

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def worker(self, *, fresh: bool) -> Any:
        """The worker; a fresh one where what was compiled before would be in the way."""
        if fresh:
            self.drop()
        if self._worker is None:
            self._worker = self._stack.enter_context(self._workers.start())
        return self._worker

    def drop(self) -> None:
        """Ends it."""
        self._stack.close()
        self._worker = None


@contextlib.contextmanager
def workers_of(options: Mapping[str, Any]) -> Iterator[Workers]:
    """The workers of a run."""
    data, program = options["data"], options.get("program")
    request = own.request(Path(program), options.get("folder")) if program else None
    with Workers(options["dataset"], str(Path(data).resolve()) if data else None, request) as workers:
        yield workers


def try_once(workers: Workers, case: Case) -> str | None:
    """Runs one repetition of a case untimed; why it failed, if it did."""
    try:
        with workers.start() as worker:
            worker.ask("try_once", LONG_LIMIT_SECONDS, case=dataclasses.asdict(case))
    except WorkerError as error:
        return str(error)
    return None


def missing(record: Record) -> list[str]:
    """Planned cases that have neither a number nor a reason of their own: the run was stopped."""
    return [gap.id for gap in record.unmeasured if gap.kind == INTERRUPTED]
