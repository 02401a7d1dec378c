"""What is captured learns as what is not. The capturing itself, which needs CUDA, is a fake here: see tests/gpu."""

import dataclasses
import functools
import gc

import pytest
import torch

from bench.axes.devices import DEVICES
from bench.measure.claims import claimed_flops
from bench.measure.counters import count
from bench.measure.phases import measure_phases
from bench.profile.steps import steps_of
from bench.workers import capture, observe, training, turns, workloads
from bench.workers.capture import WARM_RUNS, Replayed
from bench.workers.serve import State
from fcnn.data import load_images
from fcnn.train import make_training, train_epoch, train_step
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime
from tests.quickly import take_apart_once

CPU = torch.device("cpu")
GRAPH = changed(compiler="graph", threads=1)
EAGER = changed(threads=1)


@pytest.fixture(autouse=True)
def captures(monkeypatch):
    """What was captured. As with CUDA, the warm-up computes, a capture computes nothing, and a replay computes."""
    runs = []

    def fake(run):
        runs.append(run)
        for _ in range(WARM_RUNS):
            run()
        return run

    monkeypatch.setattr(capture, "capture", fake)
    return runs


@pytest.fixture(autouse=True)
def _breakdowns_in_no_time(monkeypatch):
    take_apart_once(monkeypatch)


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


def batches(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.rand(size, 1, 28, 28, generator=generator), torch.randint(10, (size,), generator=generator))
        for size in sizes
    ]


def state(made):
    moments = [value for one in made.optimizer.state.values() for value in one.values()]
    return [tensor.detach().clone() for tensor in (*made.model.parameters(), *moments)]


def test_replayed_steps_learn_what_steps_learn_with_a_smaller_last_batch(captures):
    eager, replayed = make_training(CPU), make_training(CPU)
    losses = [
        train_epoch(eager, batches(64, 64, 64, 40)),
        train_epoch(replayed, batches(64, 64, 64, 40), step=Replayed(replayed)),
    ]
    assert losses[0] == losses[1]
    assert len(captures) == 2  # the smaller batch is met after three steps, whose moments are kept
    assert all(map(torch.equal, state(eager), state(replayed)))


def test_preparing_learns_nothing(captures):
    made = make_training(CPU)
    weights = [weight.detach().clone() for weight in made.model.parameters()]
    step = Replayed(made)
    for batch in batches(64, 64, 40):
        step.prepare(*batch)
    assert len(captures) == 2
    after = state(made)
    assert all(map(torch.equal, weights, after[: len(weights)]))
    assert not any(moment.any() for moment in after[len(weights) :])  # Adam has not made a step


def test_a_replay_reads_the_batch_it_is_given_and_marks_two_parts():
    made, marks = make_training(CPU), []
    step = Replayed(made, workloads.scores_and_loss)
    first, second = batches(64, 64)
    step.prepare(*first)
    expected = workloads.scores_and_loss(made, *second)
    assert step(made, *second, marks.append) == expected.detach()
    assert tuple(marks) == capture.CAPTURED_PARTS


@pytest.mark.parametrize("workload", list(workloads.BUILDERS))
def test_every_workload_repeats_the_same_captured(images, workload, captures):
    trainings = []
    for case in (GRAPH, EAGER):
        prepared = workloads.BUILDERS[workload](changed(workload=workload, compiler=case.compiler, threads=1), images)
        prepared.repeat()
        prepared.repeat()
        trainings.append(prepared.training)
        assert (prepared.captured_from is None) == (case is EAGER)
    assert captures
    weights = [list(made.model.parameters()) for made in trainings]
    assert all(map(torch.equal, *weights))


def test_trainings_from_seeds_are_the_same_captured(images, captures):
    trained = []
    for case in (GRAPH, EAGER):
        case = changed(workload="accuracy", compiler=case.compiler, batch_size=256, threads=1)
        trainings = training.Trainings(case, images, SimulatedTime().clock())
        trainings.warm_up()
        trained.append([trainings.train(seed) for seed in (0, 1)])
    assert trained[0] == trained[1]
    # Of the warm-up and of each seed, a whole batch and the smaller last one: all before the clock starts.
    assert len(captures) == 6


def test_what_is_captured_is_counted_by_what_it_was_captured_from(images):
    counted = []
    for case in (GRAPH, EAGER):
        prepared = workloads.step(case, images)
        counted.append(
            count(prepared.counted, prepared.training, SimulatedTime().clock(), captured_from=prepared.captured_from)
        )
    for name in ("flops", "saved_tensor_bytes", "allocations", "optimizer_state_bytes", "growth_bytes"):
        assert getattr(counted[0], name) == getattr(counted[1], name), name


@pytest.mark.parametrize("workload", ["step", "epoch"])
def test_the_parts_of_a_captured_step_are_the_copy_and_the_replay(images, workload):
    case = changed(workload=workload, compiler="graph", threads=1)
    prepared = workloads.BUILDERS[workload](case, images)
    prepared.repeat()
    fetch = ("fetch",) if workload == "epoch" else ()
    assert steps_of(case, prepared).parts == (*fetch, "to_device", "replay")
    time = SimulatedTime()
    time.now = lambda: setattr(time, "seconds", time.seconds + 1.0) or time.seconds
    found = measure_phases(prepared.marked, time.clock(), repetitions=1, rounds=1)
    assert tuple(found.host_seconds) == (*fetch, "to_device", "replay", "rest")


@pytest.mark.parametrize("workload", [*workloads.BUILDERS, "accuracy"])
def test_a_worker_prepares_times_and_takes_apart_what_is_captured(images, workload, monkeypatch):
    monkeypatch.setattr(observe, "PHASES_SECONDS", 0.0)
    monkeypatch.setattr(gc, "disable", lambda: None)  # of a worker's process, and not of this one
    case = dataclasses.asdict(changed(workload=workload, compiler="graph", threads=1))
    state = State(images=images)
    prepared = turns.prepare(state, "a", case)
    if workload == "accuracy":
        assert turns.train_seed(state, "a", 0)["test_accuracy_fraction"] > 0.5
    else:
        assert turns.turn(state, "a", 2)[2] == 0
    answer = observe.observe(state, case, prepared["repetition_seconds"], 1, thorough=False)
    assert "compilation" not in answer
    assert "not-as-claimed" not in [flag["name"] for flag in answer["flags"]]
    assert answer["counters"]["flops"] == claimed_flops(changed(workload=workload))


def test_adam_keeps_its_count_where_a_graph_can_count(monkeypatch):
    options = []
    monkeypatch.setattr(
        workloads.train, "make_training", lambda *_, optimizer_options, **__: options.append(optimizer_options)
    )
    for compiler in ("off", "graph"):
        workloads.make_training(changed(device="cuda", compiler=compiler, optimizer="fused"))
    assert options == [{"fused": True}, {"fused": True, "capturable": True}]


@pytest.mark.parametrize(("compiler", "marked"), [("off", 0), ("default", 0), ("reduce-overhead", 2), ("graph", 0)])
def test_a_forward_pass_alone_tells_torchs_graphs_that_a_step_begins(images, monkeypatch, compiler, marked):
    marks = []
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda"))
    monkeypatch.setattr(workloads, "make_training", lambda case: make_training(CPU))
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", functools.partial(marks.append, "step"))
    prepared = workloads.forward(changed(workload="forward", device="cuda", compiler=compiler, threads=1), images)
    prepared.repeat()
    prepared.repeat()
    assert len(marks) == marked


def test_a_step_replaces_train_step_for_every_batch():
    made, met = make_training(CPU), []
    train_epoch(made, batches(8, 4), step=lambda *words: met.append(len(words[2])) or train_step(*words))
    assert met == [8, 4]
