import dataclasses
import shlex

import pytest
import torch

from bench.axes.case import case_id
from bench.axes.devices import DEVICES
from bench.axes.matrix import cases
from bench.cli import make_parser
from bench.record.model import RecordError, to_json
from bench.record.store import check
from bench.suite import observe, training, workloads
from bench.suite.expected import Effort, wanted
from bench.suite.session import Session
from bench.suite.training import train_seeds
from fcnn.data import load_images
from fcnn.hyperparameters import REFERENCE
from fcnn.train import make_training as fcnn_training
from tests.analyse.synthetic import yardsticks
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime

CPU = torch.device("cpu")
QUICK = Effort(step_seconds=0.02, epochs=3, seeds=2, thorough=False)


@pytest.fixture(autouse=True)
def taken_apart_quickly(monkeypatch):
    monkeypatch.setattr(observe, "PHASES_SECONDS", 0.01)


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


def session(images, *cases):
    return Session(images, "MNIST", {case_id(case): case for case in cases}, QUICK, command="test")


@pytest.mark.parametrize("workload", list(workloads.BUILDERS))
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_workload_repeats_in_every_precision(images, workload, precision):
    if (workload, precision) == ("optimizer", "fp16"):
        pytest.skip("impossible by its row")
    prepared = workloads.BUILDERS[workload](changed(workload=workload, precision=precision, threads=1), images)
    prepared.repeat()
    prepared.repeat()


def weights(training) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in training.model.parameters()]


def test_step_and_epoch_learn_and_forward_does_not(images, monkeypatch):
    made = []
    original = workloads.make_training
    monkeypatch.setattr(workloads, "make_training", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
    for workload, learns in [("step", True), ("epoch", True), ("optimizer", True), ("forward", False),
                             ("forward_backward", False)]:  # fmt: skip
        prepared = workloads.BUILDERS[workload](changed(workload=workload, threads=1), images)
        before = weights(made[-1])
        prepared.repeat()
        same = all(map(torch.equal, before, weights(made[-1])))
        assert same is not learns, workload


def test_forward_and_backward_leave_gradients_of_one_batch_only(images, monkeypatch):
    made = []
    original = workloads.make_training
    monkeypatch.setattr(workloads, "make_training", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
    prepared = workloads.forward_backward(changed(batch_size=512, threads=1), images)
    prepared.repeat()  # 640 images hold one whole batch of 512: every repetition is the same
    first = [p.grad.clone() for p in made[-1].model.parameters()]
    prepared.repeat()
    assert all(torch.allclose(a, p.grad) for a, p in zip(first, made[-1].model.parameters(), strict=True))


def test_an_epoch_trains_on_every_image_with_the_smaller_last_batch(images, monkeypatch):
    sizes = []
    original = workloads.train.train_step
    monkeypatch.setattr(
        workloads.train, "train_step", lambda t, i, y, mark: sizes.append(len(y)) or original(t, i, y, mark)
    )
    for feed in ("loader", "resident"):
        sizes.clear()
        workloads.epoch(changed(workload="epoch", feed=feed, batch_size=256, threads=1), images).repeat()
        assert sizes == [256, 256, 128]


@pytest.mark.slow
def test_a_run_becomes_a_valid_record(images):
    cases = [
        changed(batch_size=16),
        changed(workload="epoch", feed="loader"),
        changed(workload="accuracy"),
        changed(precision="tf32"),
    ]
    run = dataclasses.replace(session(images, *cases), effort=dataclasses.replace(QUICK, thorough=True))
    for id in run.planned:
        if not run.impossible(id):
            run.run(id)
    record = run.record()
    check(to_json(record), "the record")
    step, epoch, accuracy = record.measurements
    assert step.id == "step[cpu-b16-fp32]"
    assert step.case.threads >= 1  # the planned 0 is replaced by what it stands for
    assert (step.images_per_repetition, step.steps_per_epoch) == (16, None)
    assert (epoch.images_per_repetition, epoch.steps_per_epoch, epoch.last_batch_size) == (640, 10, 64)
    assert accuracy.accuracy.seeds == [0, 1]
    assert len(accuracy.samples_seconds) == 2
    (skipped,) = record.unmeasured
    assert (skipped.id, skipped.kind) == ("step[cpu-b64-tf32]", "impossible")
    assert record.dataset.sha256 == images.sha256
    assert not record.partial


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("CUDA out of memory\nmore lines"), "RuntimeError: CUDA out of memory"),
        (SystemExit(0), "SystemExit: 0"),  # of the program, which ends the case and not the run
    ],
)
def test_what_fails_and_what_had_no_turn_is_in_the_record(images, monkeypatch, error, reason):
    run = session(images, changed(batch_size=1), changed(batch_size=2), changed(batch_size=4))
    ids = list(run.planned)

    def broken(case, images):
        raise error

    monkeypatch.setitem(workloads.BUILDERS, "step", broken)
    with pytest.raises(type(error)):
        run.run(ids[0])

    def interrupted(case, images):
        raise KeyboardInterrupt

    monkeypatch.setitem(workloads.BUILDERS, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.run(ids[1])
    record = run.record()
    assert record.partial
    assert [(u.id, u.kind) for u in record.unmeasured] == [
        (ids[0], "failed"), (ids[1], "interrupted"), (ids[2], "interrupted"),
    ]  # fmt: skip
    assert record.unmeasured[0].reason == reason
    assert run.missing() == ids[1:]
    assert run.record().unmeasured == record.unmeasured  # asking changes nothing


@pytest.mark.slow
def test_a_case_whose_numbers_are_none_costs_itself_and_not_the_record(images, monkeypatch):
    run = session(images, changed(batch_size=1, threads=1), changed(batch_size=2, threads=1))
    first, second = run.planned
    measure = run._measure

    def no_number(id, case):
        measurement = measure(id, case)
        return dataclasses.replace(measurement, warmup_seconds=float("nan")) if id == first else measurement

    monkeypatch.setattr(run, "_measure", no_number)
    with pytest.raises(RecordError):
        run.run(first)
    run.run(second)
    record = run.record()
    check(to_json(record), "the record")
    assert [(u.id, u.kind) for u in record.unmeasured] == [(first, "failed")]
    assert not record.partial


@pytest.mark.slow
def test_a_cases_command_asks_for_the_same_case_and_effort(images):
    case = changed(batch_size=16, threads=1)
    for effort, beginning in (
        (dataclasses.replace(QUICK, thorough=True), "fcnn-bench run --workload"),
        (QUICK, "fcnn-bench --workload"),
    ):
        run = dataclasses.replace(session(images, case), effort=effort)
        command = run.run(case_id(case)).command
        assert command.startswith(beginning)
        options = make_parser().parse_args(shlex.split(command)[1:])
        assert cases(vars(options), options.plan) == [case]
        assert wanted(vars(options), options.plan) == effort


@pytest.mark.slow
def test_a_fake_gpu_is_synchronised_around_every_block(images, monkeypatch):
    time = SimulatedTime()
    monkeypatch.setitem(DEVICES, "cuda", time.device(name="cuda"))
    run = session(images, changed(device="cuda", feed="device"))
    (id,) = run.planned
    measurement = run.run(id)
    blocks = 1 + measurement.warmup_blocks + len(measurement.samples_seconds)
    assert time.synchronizations >= 2 * blocks
    assert measurement.device_samples_seconds is None  # the fake row has no events


def test_accuracy_repeats_from_its_seeds_and_evaluation_is_not_timed(images):
    time = SimulatedTime()
    case = changed(workload="accuracy", threads=1)
    runs = [train_seeds(case, images, time.clock(), 2) for _ in range(2)]
    assert runs[0][1] == runs[1][1]
    assert runs[0][1].test_accuracy_fraction[0] > 0.5  # the images are learnable, ten classes by chance give 0.1
    # The clock is read twice a block of 50 steps and never while evaluating: ten steps an epoch are one block.
    assert runs[0][0] == [0.0, 0.0]


def test_a_seed_that_never_reaches_the_target_has_no_time(images, monkeypatch):
    monkeypatch.setattr(training, "TARGET_FRACTION", 1.1)
    _, accuracy, _ = train_seeds(changed(workload="accuracy", threads=1), images, SimulatedTime().clock(), 1)
    assert accuracy.seconds_to_target == [None]


def flags_of(run, id):
    run.run(id)
    (measurement,) = run.record().measurements
    return {flag.name: flag.reason for flag in measurement.flags}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("workload", ["step", "epoch", "accuracy"])
def test_what_is_found_about_a_case_is_on_its_record(images, monkeypatch, workload):
    """The settings are the case's, and the environment, the case itself and the whole record have their say."""
    run = session(images, changed(workload=workload, threads=1))
    (id,) = run.planned
    torch.set_num_threads(2)
    with torch.autograd.set_detect_anomaly(True):
        found = flags_of(run, id)
    assert "anomaly-mode" in found
    assert "not-as-claimed" not in found
    small = dataclasses.replace(REFERENCE, hidden_size=8)
    for module in (workloads, training):
        monkeypatch.setattr(
            module, "make_training", lambda case, seed=0: fcnn_training(torch.device("cpu"), seed, small)
        )
    found = flags_of(session(images, changed(workload=workload, threads=1)), id)
    assert found["not-as-claimed"].startswith("the model's parameters are [(8, 784)")


def test_a_feed_that_ends_before_the_looked_at_beginning_is_all_of_its_epoch(images):
    prepared = workloads.epoch(changed(workload="epoch", threads=1), images)
    prepared.marked(steps=3)
    assert (prepared.fed.batch_sizes, prepared.fed.whole) == ([64] * 3, False)
    prepared.marked(steps=99)
    assert (prepared.fed.batch_sizes, prepared.fed.whole) == ([64] * 10, True)


@pytest.mark.slow
def test_a_machine_that_has_changed_meanwhile_is_on_the_record(images):
    run = session(images, changed(threads=1))
    (id,) = run.planned
    run.yardsticks = yardsticks(dispatch=1.2)
    assert "drift" in flags_of(run, id)


@pytest.fixture
def quickly_compiled(monkeypatch):
    """By the compiler's front half alone, and with a cold start that is none."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, mode, dynamic: real(model, backend="eager", dynamic=dynamic))
    monkeypatch.setattr(observe.cold, "compile_seconds", lambda case, sizes, cache: 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["step", "epoch", "accuracy"])
def test_a_compiled_case_makes_its_graphs_before_its_samples_and_has_some(
    images, quickly_compiled, workload, monkeypatch
):
    monkeypatch.setattr(workloads, "FIRST_BATCHES", 3)
    count = 600  # the last batch has 24, and is not among the first
    images.train.data, images.train.targets = images.train.data[:count], images.train.targets[:count]
    case = changed(workload=workload, compiler="default", threads=1)
    run = session(images, case)
    (id,) = run.planned
    assert not {"recompiled", "not-as-claimed"} & flags_of(run, id).keys()
    run = session(images, case)
    with torch.compiler.set_stance("force_eager"):
        found = flags_of(run, id)
    assert found["not-as-claimed"] == "torch.compile made no graph: what was timed is not compiled"
