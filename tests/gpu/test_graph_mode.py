"""Whole steps as CUDA graphs on a GPU: what they learn, what they launch; and settings that only a GPU minds."""

import dataclasses
import gc
import io
import json
import threading
import warnings

import pytest
import torch

from bench.axes.case import why_impossible
from bench.axes.devices import DEVICES
from bench.measure import calibration, settings
from bench.measure.claims import why_not_as_claimed
from bench.measure.clock import Clock
from bench.measure.counters import count
from bench.measure.device_work import GRAPH_LAUNCH, device_work, quiet_profiler
from bench.profile import tracing
from bench.profile.events import Ranges, within_steps
from bench.profile.steps import steps_of
from bench.workers import capture, training, workloads
from bench.workers.serve import State, serve
from fcnn.data import load_images
from tests.axes.test_case import changed

TOLERANCE = {"fp32": 2e-4, "tf32": 2e-3, "bf16": 5e-3}  # of weights after some steps of 1e-3 each


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


@pytest.fixture(autouse=True)
def collected():
    """A worker collects no garbage from its first case on; this process goes on."""
    yield
    gc.enable()


@pytest.fixture
def clock():
    return Clock(DEVICES["cuda"])


def on_gpu(**fields):
    case = changed(device="cuda", threads=settings.default_threads(), **fields)
    assert why_impossible(case, 60_000) is None
    settings.apply(case)
    return case


def difference(one, other):
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def repeated(case, images, times):
    prepared = workloads.BUILDERS[case.workload](case, images)
    for _ in range(times):
        prepared.repeat()
    return prepared


@pytest.mark.parametrize("feed", ["resident", "device"])
@pytest.mark.parametrize(
    ("precision", "optimizer"), [("fp32", "adam"), ("fp32", "fused"), ("tf32", "foreach"), ("bf16", "adam")]
)
def test_captured_steps_learn_what_eager_steps_learn(images, precision, optimizer, feed):
    fields = {"precision": precision, "optimizer": optimizer, "feed": feed}
    eager, captured = (repeated(on_gpu(compiler=name, **fields), images, 20).training for name in ("off", "graph"))
    assert difference(eager, captured) <= TOLERANCE[precision]


@pytest.mark.parametrize("feed", ["loader", "resident", "device"])
def test_captured_epochs_learn_what_eager_epochs_learn_with_a_smaller_last_batch(images, feed):
    """640 images are six batches of 96 and one of 64."""
    pinned = {"pin_memory": feed == "loader"}
    cases = [on_gpu(workload="epoch", compiler=name, feed=feed, batch_size=96, **pinned) for name in ("off", "graph")]
    eager, captured = (repeated(case, images, 2).training for case in cases)
    assert difference(eager, captured) <= TOLERANCE["fp32"]


def test_captured_trainings_are_as_accurate(images, clock):
    found = []
    for compiler in ("off", "graph"):
        case = on_gpu(workload="accuracy", compiler=compiler, feed="device", batch_size=48)
        trainings = training.Trainings(case, images, clock)
        trainings.warm_up()
        found.append([trainings.train(seed).test_accuracy_fraction for seed in (0, 1)])
    assert found[0] == pytest.approx(found[1], abs=0.02)
    assert min(found[1]) > 0.5


@pytest.mark.gpu(limit_seconds=60)
def test_a_captured_step_does_not_mind_the_captures_of_torch_compile(images):
    """Those free the memory that cuBLAS works in, for all streams: a graph that still used it once failed, or worse."""
    learnt = []
    for beside in (False, True):
        captured = repeated(on_gpu(compiler="graph", feed="device"), images, 5)
        if beside:
            repeated(on_gpu(compiler="reduce-overhead", feed="device"), images, 5)
            torch.cuda.empty_cache()
            # What was freed is somebody else's from here on.
            rubbish = [torch.full((1 << 20,), float("nan"), device="cuda") for _ in range(64)]
        for _ in range(5):
            captured.repeat()
        learnt.append(captured.training)
    assert rubbish
    assert difference(*learnt) <= TOLERANCE["fp32"]


def test_preparing_a_graph_learns_nothing(images):
    made = workloads.make_training(on_gpu(compiler="graph"))
    before = [weight.detach().clone() for weight in made.model.parameters()]
    step = capture.Replayed(made)
    for batch in (64, 40):
        step.prepare(torch.rand(batch, 1, 28, 28), torch.zeros(batch, dtype=torch.int64))
    assert all(map(torch.equal, before, made.model.parameters()))
    state = [value for one in made.optimizer.state.values() for value in one.values()]
    assert state
    assert not any(bool(value.any()) for value in state)


@pytest.mark.parametrize("workload", ["step", "forward", "forward_backward", "optimizer"])
def test_a_replay_launches_one_graph_with_the_kernels_of_the_eager_part(images, clock, workload):
    case = on_gpu(workload=workload, compiler="graph", feed="device")
    prepared = repeated(case, images, 3)
    counters = count(prepared.counted, prepared.training, clock, captured_from=prepared.captured_from, growth=False)
    eager = device_work(prepared.captured_from, clock)
    print(f"{workload}: {counters.kernels_launched} kernels replayed, {eager} eager, {counters.aten_calls}")
    assert counters.cuda_graph_launches == 1
    assert eager.cuda_graph_launches == 0
    # A replay may set the generator's seed and offset, and the copies of the batch are no kernels.
    assert abs(counters.kernels_launched - eager.kernels_launched) <= 2
    assert why_not_as_claimed(case, prepared.training, counters) is None


def test_the_launch_of_a_graph_is_called_as_it_is_looked_for(images, clock):
    prepared = repeated(on_gpu(compiler="graph", feed="device"), images, 3)
    with quiet_profiler(*torch.profiler.supported_activities()) as profile:
        clock.time_block(prepared.repeat, 3)
    names = {event.name for event in profile.events()}
    print(sorted(names))
    assert any(name.startswith(GRAPH_LAUNCH) for name in names)


def test_a_captured_step_is_traced_in_two_parts(images):
    case = on_gpu(compiler="graph", feed="device")
    prepared = repeated(case, images, 3)
    steps = steps_of(case, prepared)
    traced = tracing.trace(case, steps, 3, None)
    within = within_steps(traced.events, Ranges(traced.events, steps.parts, 3))
    assert [event.name for event in within if event.name in steps.parts] == [*capture.CAPTURED_PARTS] * 3
    assert any(event.on_device for event in traced.events)


def test_a_backward_pass_of_nothing_wakes_autograds_thread(clock):
    """And where that is forbidden, the caller's own does it."""
    leaf = torch.ones((), device="cuda", requires_grad=True)
    view, threads = leaf.view(1), []
    view.register_hook(lambda gradient: threads.append(threading.get_ident()))
    torch.autograd.grad(view.sum(), leaf, retain_graph=True)
    with torch.autograd.set_multithreading_enabled(False):
        torch.autograd.grad(view.sum(), leaf)
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()
    assert device_work(calibration._backward_thread("cuda", clock).repeat, clock).kernels_launched == 0


def test_a_block_has_the_time_between_its_events(clock):
    ones = torch.ones(2048, 2048, device="cuda")
    clock.time_block(lambda: ones @ ones, 3)
    block = clock.time_block(lambda: ones @ ones, 20)
    assert 0 < block.device_seconds <= block.host_seconds


def test_tf32_is_read_back_whichever_interface_set_it(images):
    random = torch.Generator("cuda").manual_seed(0)
    a, b = (torch.randn(1024, 1024, device="cuda", generator=random) for _ in range(2))
    exact = a.double() @ b.double()

    def error():
        return float((a @ b - exact).abs().max())

    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("TF32 needs compute capability 8.0")
    case = on_gpu()
    assert settings.float32_matmul("cuda") == "highest"
    fine = error()
    on_gpu(precision="tf32")
    assert settings.float32_matmul("cuda") == "high"
    assert error() > 10 * fine
    settings.apply(case)
    prepared = repeated(case, images, 1)
    torch.backends.cuda.matmul.fp32_precision = "tf32"  # as a program may
    try:
        assert error() > 10 * fine
        reason = why_not_as_claimed(case, prepared.training, None)
        assert reason == "float32 products have the precision 'high', not 'highest'"
    finally:
        settings.apply(case)
    assert why_not_as_claimed(case, prepared.training, None) is None
    assert error() < 2 * fine


@pytest.mark.gpu(limit_seconds=120)
def test_torchs_own_graphs_are_replayed_for_a_forward_pass_alone(images, clock):
    case = on_gpu(workload="forward", compiler="reduce-overhead", feed="device")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        prepared = repeated(case, images, 10)
        work = device_work(prepared.repeat, clock)
    assert not [one for one in said if "fast path" in str(one.message)]
    assert work.cuda_graph_launches >= 1


def test_a_batch_that_does_not_fit_is_named_and_costs_no_other(images):
    case = on_gpu(feed="device", batch_size=512)
    state, fields = State(images=images), {"case": dataclasses.asdict(case)}
    workloads.resident(images)

    def answers():
        requests = io.StringIO(json.dumps(["prepare", {"id": "a", **fields}]) + "\n")
        serve(state, requests, told := io.StringIO())
        return json.loads(told.getvalue())

    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        assert answers()["error"].startswith("OutOfMemoryError: CUDA out of memory")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert answers()["value"]["repetition_seconds"] > 0
