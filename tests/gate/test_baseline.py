"""Against records: what is said of processes that are simulated."""

import contextlib
import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bench.gate import baseline, check
from bench.gate.against import DEFAULT_ID
from bench.gate.baseline import CONFIRMATION_PROCESSES, SCREENING_PROCESSES
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS
from bench.gate.outcome import ERROR
from bench.gate.trees import program_of
from bench.gate.whole import Request
from bench.record.model import Beside
from bench.suite.costs import BLOCK_SECONDS
from bench.workers.conversation import WorkerDied
from fcnn.data import load_images
from tests.answers import check_request
from tests.data.records import CPU_RECORD, only
from tests.gate.kept import here, written

ROOT = Path(__file__).parents[2]
PARTS = ["forward[cpu-b64-fp32]", "step[cpu-b64-fp32]"]


class Simulated:
    """Workers that answer for a program so many times as slow as the record's, on such a machine.

    Args:
        slowdown: Of the program, as a fraction.
        machine: Of the machine, the same.
        calls: That the program makes more than it did.
        flags: That every process raises when it is observed.
        beside: What goes on beside every process.
        first: How many times as long as the others a process's first block takes.
        graphs: That torch.compile makes in every block.
        busy: How many times as long as the host waited the device worked; None without one.
        dies: Whether no process answers.
        team: What it takes threads to hand work over, in seconds.
    """

    pid = -1
    calibrations: ClassVar = CPU_RECORD.calibrations

    def __init__(
        self, slowdown=0.0, machine=0.0, calls=0, flags=(), beside=None, first=1.0, graphs=0, busy=None, dies=False,
        team=None,
    ):  # fmt: skip
        self.slowdown, self.machine, self.calls, self.dies = slowdown, machine, calls, dies
        self.flags, self.beside, self.first, self.graphs, self.busy = flags, beside, first, graphs, busy
        self.team = team
        self.rng, self.started = np.random.default_rng(0), 0
        self.known = {m.case: m for m in CPU_RECORD.measurements}

    @contextlib.contextmanager
    def process(self, *_):
        self.started += 1
        self.prepared = {}
        yield self

    def watch(self, process, gpu):
        assert (process, gpu) == (self.pid, None)
        return self

    def seen(self):
        return Beside(), self.beside

    def ask(self, name, **arguments):
        check_request(name, arguments)
        if self.dies:
            raise WorkerDied("the worker died")
        return getattr(self, name)(**arguments)

    def prepare(self, id, case, warm_seconds):
        then = self.known[baseline.Case(**case)]
        assert id == then.id
        seconds = min(then.samples_seconds) * (1 + self.slowdown + self.machine)
        self.prepared[id] = self.level(seconds), self.first
        return {"first_call_seconds": 20 * seconds, "warmup_seconds": 0.1, "repetition_seconds": seconds}

    def pace(self, threads):
        return {"core_seconds": 1e-4, "team_seconds": self.team}

    def turn(self, id, repetitions, lead_seconds):
        level, times = self.prepared[id]
        assert BLOCK_SECONDS <= 1.01 * repetitions * level < BLOCK_SECONDS + 2 * level
        self.prepared[id] = level, 1.0
        seconds = times * self.block(level)
        return [seconds, self.busy and self.busy * seconds, self.graphs]

    def observe(self, case, seconds, repetitions, thorough):
        assert thorough  # as for a record, or there would be nothing to set its counts against
        then = self.known[baseline.Case(**case)]
        counters = dataclasses.asdict(then.counters)
        counters["allocations"] += self.calls
        flags = [{"name": name, "reason": "planted"} for name in self.flags]
        return {"counters": counters, "phases": None, "energy": None, "flags": flags}

    def calibrate(self, devices, threads, precisions):
        assert precisions == {device: ["fp32"] for device in devices}
        return [dataclasses.asdict(self.timed(y)) for y in self.calibrations if y.device in devices]

    def timed(self, calibration):
        level = self.level(min(calibration.samples_seconds) * (1 + self.machine))
        return dataclasses.replace(
            calibration, samples_seconds=[self.block(level) for _ in range(32)], after_samples_seconds=None
        )

    def level(self, seconds):
        """Of one process."""
        return seconds * (1 + 0.002 * self.rng.standard_normal())

    def block(self, level):
        return level * (1 + 0.001 * self.rng.random())


@pytest.fixture
def checked(mnist_root, tmp_path, monkeypatch):
    """Runs the check against a record with simulated processes."""

    def run(simulated, everything=False, gates=("counts", "timing"), record=CPU_RECORD):
        monkeypatch.setattr(baseline, "_process", simulated.process)
        monkeypatch.setattr(baseline, "Watch", simulated.watch)
        monkeypatch.setattr(baseline, "candidate_of", lambda source, folder: folder)
        ids = PARTS if everything else PARTS[1:]
        path = written(here(only(record, *ids), mnist_root), tmp_path / "record")
        request = Request(ROOT, "", gates=gates, data=mnist_root)
        return baseline.check_records(request, [path], everything=everything)

    return run


def verdicts(found):
    return {(outcome.gate, outcome.case): outcome.verdict for outcome in found.outcomes}


@pytest.mark.slow
def test_the_same_program_passes_after_the_screening(checked):
    simulated = Simulated()
    found = checked(simulated)
    assert verdicts(found) == {("counts", DEFAULT_ID): PASS, ("timing", DEFAULT_ID): PASS}
    assert simulated.started == SCREENING_PROCESSES
    assert found.against == f"the record of {CPU_RECORD.created_utc}"
    assert len(found.outcomes[1].raw["candidate_seconds"]) == SCREENING_PROCESSES


def test_a_slowdown_fails_on_fresh_processes(checked):
    simulated = Simulated(slowdown=0.1)
    found = checked(simulated, gates=("timing",))
    assert verdicts(found) == {("timing", DEFAULT_ID): FAIL}
    assert found.outcomes[0].raw["slowdown_fraction"] == pytest.approx(0.1, abs=0.01)
    assert simulated.started == SCREENING_PROCESSES + CONFIRMATION_PROCESSES
    assert found.exit_code == 1


def test_all_cases_of_the_record_share_the_processes(checked):
    simulated = Simulated()
    found = checked(simulated, everything=True, gates=("timing",))
    assert verdicts(found) == dict.fromkeys([("timing", id) for id in PARTS], PASS)
    assert simulated.started == SCREENING_PROCESSES


def test_a_machine_that_has_changed_is_not_the_programs_fault(checked):
    found = checked(Simulated(machine=0.1), gates=("timing",))
    assert verdicts(found) == {("timing", DEFAULT_ID): INCONCLUSIVE}
    assert "this machine has changed: calibration probe" in found.outcomes[0].reason
    assert found.exit_code == 5


@pytest.mark.parametrize("missing", ["then", "now"])
def test_without_calibrations_nothing_is_judged(checked, monkeypatch, missing):
    if missing == "then":
        monkeypatch.setattr(baseline, "concerning", lambda measurement, record: [])
    else:
        monkeypatch.setattr(Simulated, "calibrations", [])
    found = checked(Simulated(), gates=("timing",))
    assert verdicts(found) == {("timing", DEFAULT_ID): INCONCLUSIVE}
    assert "whether the machine has changed cannot be told" in found.outcomes[0].reason


def test_another_torch_is_said(checked, monkeypatch):
    monkeypatch.setattr(baseline.facts, "version", lambda package: "99.0")
    found = checked(Simulated())
    for outcome in found.outcomes:
        assert any(line.endswith("then and 99.0 now") for line in outcome.lines)


def test_a_changed_count_is_named_and_one_process_suffices_to_count(checked):
    simulated = Simulated(calls=1)
    found = checked(simulated, gates=("counts",))
    assert verdicts(found) == {("counts", DEFAULT_ID): FAIL}
    assert "allocations" in found.outcomes[0].reason
    assert simulated.started == 1


@pytest.mark.parametrize(
    ("planted", "flag"),
    [
        ({"beside": "other processes kept 1.0 cores busy meanwhile"}, "contended"),
        ({"flags": ["oversubscribed"]}, "oversubscribed"),
        ({"first": 3.0}, "cold"),
        ({"busy": 2.0}, "unsynchronised"),
        ({"graphs": 1}, "recompiled"),
        ({"flags": ["profiled"], "first": 3.0}, "cold, profiled"),
    ],
)
def test_flagged_processes_take_no_part(checked, planted, flag):
    found = checked(Simulated(**planted), gates=("timing",))
    assert verdicts(found) == {("timing", DEFAULT_ID): INCONCLUSIVE}
    assert f"nearly every process was flagged: {flag}" in found.outcomes[0].reason


@pytest.mark.parametrize(
    ("now", "torch", "verdict"),
    [(2.8e-6, None, PASS), (4.4e-6, None, INCONCLUSIVE), (1.5e-6, None, INCONCLUSIVE), (4.4e-6, "another", FAIL)],
)
def test_a_host_that_has_moved_the_cores_of_a_team_is_not_the_programs_fault(checked, monkeypatch, now, torch, verdict):
    torch = torch or CPU_RECORD.environment["software"]["torch"]
    monkeypatch.setattr(baseline.facts, "version", lambda package: torch)
    rounds = [dataclasses.replace(one, beside=Beside(team_seconds=2.5e-6)) for one in CPU_RECORD.rounds]
    slowdown = 0.4 if verdict != PASS else 0.0
    record = dataclasses.replace(CPU_RECORD, rounds=rounds)
    found = checked(Simulated(slowdown=slowdown, team=now), gates=("timing",), record=record)
    assert verdicts(found) == {("timing", DEFAULT_ID): verdict}
    if verdict == INCONCLUSIVE:
        assert "nearly every process was flagged: apart" in found.outcomes[0].reason


def test_a_process_that_dies_is_an_error_and_no_pass(checked):
    found = checked(Simulated(dies=True))
    assert verdicts(found) == {("counts", DEFAULT_ID): ERROR, ("timing", DEFAULT_ID): ERROR}
    assert found.exit_code == 3


@pytest.mark.slow
def test_a_real_process_observes_the_case(mnist_root, tmp_path):
    images = load_images("MNIST", mnist_root)
    file = check.save_images(images, tmp_path, len(images.train))
    step = next(m for m in CPU_RECORD.measurements if m.id == DEFAULT_ID)
    step = dataclasses.replace(step, case=dataclasses.replace(step.case, threads=1))
    seen, calibrations = baseline.Remeasured(), {}
    with baseline._process(file, program_of(ROOT, tmp_path / "candidate")) as worker:
        baseline._observe(worker, step, CPU_RECORD, seen, "screening")
        baseline._time_calibrations(worker, [step.case], calibrations)
    (seconds,) = seen.samples_seconds
    assert len(seconds) == baseline.TURNS
    assert min(seconds) > 0
    assert seen.screening or seen.flags  # as where something else is busy
    assert seen.counters["flops"] == 5_081_600 + 5_145_600
    assert set(calibrations) == {("cpu", name) for name in ("matmul_fp32", "copy", "copy_cached", "dispatch")}
