"""A run on real, small cases in this process, from its first line to its record."""

import dataclasses
import shlex

import pytest
import torch

from bench.analyse.trust import judged
from bench.axes.case import case_id
from bench.axes.devices import DEVICES
from bench.axes.matrix import cases
from bench.cli import make_parser
from bench.measure.claims import claimed_flops
from bench.record.folding import folded
from bench.record.model import to_json
from bench.record.store import of_json
from bench.suite import header, session
from bench.suite.costs import Rates
from bench.suite.plan import Plan, make
from bench.suite.session import missing
from bench.workers import serve, training, workloads
from bench.workers.conversation import WorkerDied
from fcnn.data import load_images
from fcnn.hyperparameters import REFERENCE
from fcnn.train import make_training as fcnn_training
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime
from tests.suite.local import QUICK, Workers, run

pytestmark = pytest.mark.usefixtures("measured_once")


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


@pytest.mark.slow
def test_a_run_becomes_a_valid_record(images, tmp_path):
    cases = [
        changed(batch_size=16),
        changed(workload="epoch", feed="loader"),
        changed(workload="accuracy"),
        changed(precision="tf32"),
    ]
    record = run(images, tmp_path, *cases, effort=dataclasses.replace(QUICK, thorough=True)).measure()
    of_json(to_json(record), "the record")
    step, epoch, accuracy = record.measurements
    assert step.id == "step[cpu-b16-fp32]"
    assert step.case.threads >= 1  # the planned 0 is replaced by what it stands for
    assert (step.images_per_repetition, step.steps_per_epoch) == (16, None)
    assert (epoch.images_per_repetition, epoch.steps_per_epoch, epoch.last_batch_size) == (640, 10, 64)
    assert (step.counters.flops, step.counters.growth_bytes) == (claimed_flops(step.case), 0)
    assert step.phases.host_seconds["backward"] > 0
    assert epoch.phases.host_seconds["fetch"] > 0
    assert step.energy is not None
    assert accuracy.accuracy.seeds == [0, 1]
    assert len(accuracy.samples_seconds) == 2
    assert len(accuracy.start_ups) == 3
    assert all(one.import_seconds > 0 < one.first_step_seconds for one in accuracy.start_ups)
    assert not epoch.start_ups
    assert accuracy.counters.flops == claimed_flops(accuracy.case)
    (skipped,) = record.unmeasured
    assert (skipped.id, skipped.kind) == ("step[cpu-b64-tf32]", "impossible")
    assert record.dataset.sha256 == images.sha256
    assert {r.group for r in record.rounds} == {"steps", "epochs", "trainings"}
    assert all(y.after_samples_seconds for y in record.calibrations)
    assert not record.partial


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("CUDA out of memory\nmore lines"), "RuntimeError: CUDA out of memory"),
        (SystemExit(0), "SystemExit: 0"),  # of the program, which ends the case and not the run
    ],
)
def test_what_fails_is_in_the_record_and_the_others_go_on(images, tmp_path, monkeypatch, error, reason):
    build = workloads.BUILDERS["step"]

    def broken(case, images):
        if case.batch_size == 2:
            raise error
        return build(case, images)

    monkeypatch.setitem(workloads.BUILDERS, "step", broken)
    record = run(images, tmp_path, *(changed(batch_size=size, threads=1) for size in (1, 2, 4))).measure()
    assert [(u.id, u.kind, u.reason) for u in record.unmeasured] == [("step[cpu-b2-fp32-t1]", "failed", reason)]
    assert [m.id for m in record.measurements] == ["step[cpu-b1-fp32-t1]", "step[cpu-b4-fp32-t1]"]
    assert not record.partial


def test_a_run_that_is_stopped_keeps_what_it_has_and_goes_on(images, tmp_path, monkeypatch):
    cases = [changed(batch_size=16, threads=1), changed(workload="epoch", threads=1)]
    stopped = run(images, tmp_path, *cases)
    real = serve.function

    def interrupted(name):
        if name == "turn" and any(line["kind"] == "round" for line in stopped.journal.lines[:-1]):
            raise KeyboardInterrupt
        return real(name)

    monkeypatch.setattr(serve, "function", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stopped.measure()
    partial = folded(stopped.journal.lines)
    assert partial.partial
    assert [m.id for m in partial.measurements] == ["step[cpu-b16-fp32-t1]"]
    assert [(u.id, u.kind) for u in partial.unmeasured] == [("epoch[cpu-b64-fp32-t1]", "interrupted")]
    assert missing(partial) == ["epoch[cpu-b64-fp32-t1]"]
    monkeypatch.setattr(serve, "function", real)
    whole = stopped.measure()
    assert not whole.partial
    assert len(whole.measurements) == 2
    calibrations = [line for line in stopped.journal.lines if line["kind"] == "calibration"]
    assert len(calibrations) == 1


def test_what_is_left_of_the_time_goes_to_further_processes_of_steps(images, tmp_path, monkeypatch):
    asked = []

    def room(plan, passed_seconds, process_seconds, processes):
        asked.append((passed_seconds > 0 < process_seconds, processes))
        return processes < 3

    monkeypatch.setattr(Plan, "has_room", room)
    begun = run(images, tmp_path, changed(batch_size=16), changed(workload="epoch"))
    record = begun.measure()
    assert asked == [(True, 1), (True, 2), (True, 3)]
    kinds = [(line["kind"], line.get("group")) for line in begun.journal.lines if line["kind"] != "prepared"]
    processes = [at for at, kind in enumerate(kinds) if kind == ("process", "steps")]
    assert len(processes) == 3
    assert processes[0] < kinds.index(("observed", None)) < processes[1]
    assert len({r.process for r in record.rounds if r.group == "steps"}) == 3
    assert len({r.process for r in record.rounds if r.group == "epochs"}) == 1
    assert not record.partial


def test_a_run_that_goes_on_takes_no_further_time(images, tmp_path, monkeypatch):
    begun = run(images, tmp_path, changed(batch_size=16))
    begun.journal.write("process", process=0, group="steps")
    monkeypatch.setattr(Plan, "has_room", lambda *_: pytest.fail("it was asked"))
    assert not begun.measure().partial


def test_where_no_worker_can_be_had_any_more_what_was_measured_stays(images, tmp_path, monkeypatch):
    begun = run(images, tmp_path, changed(batch_size=16, threads=1), changed(workload="epoch", threads=1))
    start = begun.workers.start

    def gone(called="the worker"):
        if any(line["kind"] == "round" for line in begun.journal.lines):
            raise WorkerDied("the process that forks the workers died: it was killed by SIGKILL")
        return start(called)

    monkeypatch.setattr(begun.workers, "start", gone)
    record = begun.measure()
    assert record.partial
    assert [m.id for m in record.measurements] == ["step[cpu-b16-fp32-t1]"]
    (problem,) = (line["what"] for line in begun.journal.lines if line["kind"] == "problem")
    assert problem.startswith("the run cannot go on: the process that forks the workers died: it was killed by SIGKILL")


@pytest.mark.slow
def test_a_case_whose_numbers_are_none_costs_itself_and_not_the_record(images, tmp_path, monkeypatch):
    real = serve.function

    def no_number(name):
        function = real(name)
        if name != "observe":
            return function
        return lambda state, **arguments: {
            **function(state, **arguments),
            **({"phases": {"sum_seconds": float("nan")}} if arguments["case"]["batch_size"] == 1 else {}),
        }

    monkeypatch.setattr(serve, "function", no_number)
    record = run(images, tmp_path, changed(batch_size=1, threads=1), changed(batch_size=2, threads=1)).measure()
    of_json(to_json(record), "the record")
    assert [(u.id, u.kind) for u in record.unmeasured] == [("step[cpu-b1-fp32-t1]", "failed")]
    assert not record.partial


def test_a_cases_command_asks_for_the_same_case_and_effort(images, tmp_path):
    case = changed(batch_size=16, threads=1)
    for number, (effort, beginning) in enumerate(
        (
            (dataclasses.replace(QUICK, thorough=True), "fcnn-bench run --workload"),
            (QUICK, "fcnn-bench --workload"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        planned = run(images, tmp_path / str(number), case, effort=effort).journal.lines[0]["cases"]
        command = planned[case_id(case)]["command"]
        assert command.startswith(beginning)
        options = make_parser().parse_args(shlex.split(command)[1:])
        assert cases(vars(options), options.plan, ["cpu"]) == [case]
        made = make({}, 640, vars(options), options.plan, Rates({}, 0.0)).effort
        assert (made.step_seconds, made.thorough) == (effort.step_seconds, effort.thorough)


@pytest.mark.slow
def test_a_fake_gpu_is_synchronised_around_every_block(images, tmp_path, monkeypatch):
    time = SimulatedTime()
    monkeypatch.setitem(DEVICES, "cuda", time.device(name="cuda"))
    with Workers(images).start() as worker:
        case = dataclasses.asdict(changed(device="cuda", feed="device", threads=1))
        worker.ask("prepare", id="x", case=case, warm_seconds=0.0)
        before = time.synchronizations
        _, device_seconds, _ = worker.ask("turn", id="x", repetitions=3)
    assert time.synchronizations == before + 2
    assert device_seconds is None  # the fake row has no events


def test_the_journal_says_how_trainings_are_judged():
    assert header.ACCURACY == {
        "epochs": training.EPOCHS, "target_fraction": training.TARGET_FRACTION, "max_epochs": training.MAX_EPOCHS,
    }  # fmt: skip


def flags_of(images, folder, case):
    folder.mkdir()
    record = judged(run(images, folder, case).measure())
    (measurement,) = record.measurements
    return {flag.name: flag.reason for flag in measurement.flags}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("workload", ["step", "epoch", "accuracy"])
def test_what_is_found_about_a_case_is_on_its_record(images, tmp_path, monkeypatch, workload):
    """The settings are the case's, and the environment, the case itself and the whole record have their say."""
    case = changed(workload=workload, threads=1)
    torch.set_num_threads(2)
    with torch.autograd.set_detect_anomaly(True):
        found = flags_of(images, tmp_path / "a", case)
    assert "anomaly-mode" in found
    assert "not-as-claimed" not in found
    small = dataclasses.replace(REFERENCE, hidden_size=8)
    for module in (workloads, training):
        monkeypatch.setattr(
            module, "make_training", lambda case, seed=0: fcnn_training(torch.device("cpu"), seed, small)
        )
    found = flags_of(images, tmp_path / "b", case)
    assert found["not-as-claimed"].startswith("the model's parameters are [(8, 784)")


@pytest.fixture
def quickly_compiled(monkeypatch):
    """By the compiler's front half alone, and with a cold start that is none."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, mode, dynamic: real(model, backend="eager", dynamic=dynamic))
    monkeypatch.setattr(session, "ask_once", lambda *_, **__: 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["step", "epoch", "accuracy"])
def test_a_compiled_case_makes_its_graphs_before_its_samples_and_has_some(
    images, tmp_path, quickly_compiled, workload, monkeypatch
):
    monkeypatch.setattr(workloads, "FIRST_BATCHES", 3)
    count = 600  # the last batch has 24, and is not among the first
    images.train.data, images.train.targets = images.train.data[:count], images.train.targets[:count]
    case = changed(workload=workload, compiler="default", threads=1)
    assert not {"recompiled", "not-as-claimed"} & flags_of(images, tmp_path / "a", case).keys()
    with torch.compiler.set_stance("force_eager"):
        found = flags_of(images, tmp_path / "b", case)
    assert found["not-as-claimed"] == "torch.compile made no graph: what was timed is not compiled"
