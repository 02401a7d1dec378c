"""A case that does not do what its name says is told by its model, its settings, its counts or its feed."""

import dataclasses

import pytest
import torch

from bench.measure import settings
from bench.measure.claims import Fed, why_not_as_claimed
from fcnn.hyperparameters import REFERENCE
from fcnn.train import make_training
from tests.axes.test_case import changed
from tests.measure.steps import counters_of, random_step

CASE = changed(threads=1)


@pytest.fixture(scope="module")
def real():
    training, step = random_step()
    return training, counters_of(step, training)


@pytest.fixture(autouse=True)
def as_the_case_wants():
    settings.apply(CASE)


def objection(real, training=None, repeat=None, fed=None, **case):
    """Against a case that differs from `CASE`, or a training that is not the real one."""
    counters = counters_of(repeat, training) if repeat else real[1]
    return why_not_as_claimed(dataclasses.replace(CASE, **case), training or real[0], counters, fed)


def wider():
    return make_training(torch.device("cpu"), hyperparameters=dataclasses.replace(REFERENCE, hidden_size=64))


def doubled():
    training = make_training(torch.device("cpu"))
    training.model.double()
    return training


def half_doubled():
    training = make_training(torch.device("cpu"))
    training.model.fc2.double()
    return training


def elsewhere():
    training = make_training(torch.device("cpu"))
    training.model.to("meta")
    return training


def diverged():
    training = make_training(torch.device("cpu"))
    with torch.no_grad():
        training.model.fc2.bias[3] = torch.nan
    return training


def compiled():
    return make_training(torch.device("cpu"), wrap=lambda model: torch.compile(model, backend="eager"))


def mixed():
    return make_training(torch.device("cpu"), amp_dtype=torch.bfloat16)


def fused():
    return make_training(torch.device("cpu"), optimizer_options={"fused": True})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "case", "words"),
    [
        (wider, {}, "the model's parameters are [(64, 784)"),
        (doubled, {}, "parameters are torch.float64, not all float32"),
        (half_doubled, {}, "parameters are torch.float64, not all float32"),
        (elsewhere, {}, "the model is on meta, not on cpu"),
        (diverged, {}, "the parameters are not finite"),
        (compiled, {}, "the model is compiled"),
        (None, {"compiler": "default"}, "the model is not compiled"),
        (fused, {}, "Adam's implementation is {'fused': True, 'foreach': False}, not adam"),
        (None, {"optimizer": "fused"}, "Adam's implementation is {'fused': False, 'foreach': False}, not fused"),
        (None, {"batch_size": 128}, "a batch of 128 is 20,454,400 FLOP, and 10,227,200 were counted"),
        (None, {"workload": "forward"}, "a batch of 64 is 5,081,600 FLOP"),
        (None, {"precision": "bf16"}, "mixed precision is in None, not in bfloat16"),
        (mixed, {"precision": "bf16"}, "matrix products are in float32, not in bfloat16"),
        (mixed, {}, "mixed precision is in bfloat16, not in None"),
    ],
)
def test_what_is_not_as_claimed_is_told(real, make, case, words):
    assert words in objection(real, make and make(), **case)


def test_the_wrong_batch_and_the_wrong_type_are_told_by_what_was_counted(real):
    training, step = random_step(32)
    assert "5,113,600 were counted" in objection(real, training, step)
    training, step = random_step(amp_dtype=torch.bfloat16)
    assert objection(real, training, step, precision="bf16") is None


def test_what_is_as_claimed_is_not_told(real):
    assert objection(real) is None
    assert objection(real, compiled(), compiler="default") is None
    assert objection(real, fused(), optimizer="fused") is None
    training, _ = random_step()
    assert objection(real, training, lambda: training.optimizer.step(), workload="optimizer") is None


def test_other_threads_and_another_precision_of_products_are_told(real):
    assert objection(real, threads=2) == "torch computes with 1 threads, not with 2"
    torch.set_float32_matmul_precision("medium")
    assert objection(real) == "float32 products have the precision 'medium', not 'highest'"


@pytest.fixture
def precisions_as_before():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("precisions_as_before")
@pytest.mark.parametrize(
    ("device", "backend", "value", "known_as"),
    [
        ("cpu", torch.backends.mkldnn.matmul, "bf16", "medium"),
        ("cuda", torch.backends.cuda.matmul, "tf32", "high"),
        ("cuda", torch.backends.cuda.matmul, "ieee", "highest"),
    ],
)
def test_what_a_program_sets_by_torchs_newer_interface_is_understood(device, backend, value, known_as):
    backend.fp32_precision = value  # from here on, getters of the older interface may raise
    assert settings.float32_matmul(device) == known_as
    settings.apply(CASE)
    assert settings.float32_matmul(device) == "highest"


@pytest.mark.usefixtures("precisions_as_before")
def test_a_program_that_allows_tf32_by_the_newer_interface_is_told(real):
    torch.backends.mkldnn.matmul.fp32_precision = "tf32"
    assert objection(real) == "float32 products have the precision 'high', not 'highest'"


def test_a_captured_step_without_a_replay_is_told(real):
    training, counters = real
    case = dataclasses.replace(CASE, compiler="graph")
    replayed, none = (dataclasses.replace(counters, cuda_graph_launches=count) for count in (1, 0))
    assert why_not_as_claimed(case, training, replayed) is None
    assert why_not_as_claimed(case, training, none) == "no CUDA graph was replayed"


@pytest.mark.parametrize(
    ("batch_sizes", "whole"), [([64] * 9 + [24], True), ([64] * 3, False), ([64] * 9 + [24], False)]
)
def test_an_epoch_of_every_image_once_is_as_claimed(real, batch_sizes, whole):
    assert objection(real, fed=Fed(600, batch_sizes, whole), workload="epoch") is None


@pytest.mark.parametrize(
    ("batch_sizes", "whole"),
    [([64], True), ([256, 256, 88], True), ([64] * 9, True), ([64] * 10, True), ([256], False), ([], False)],
)
def test_an_epoch_of_other_batches_or_fewer_images_is_told(real, batch_sizes, whole):
    found = objection(real, fed=Fed(600, batch_sizes, whole), workload="epoch")
    assert found.startswith(f"the feed gave {sum(batch_sizes)} images in {len(batch_sizes)} batches")
    assert found.endswith("where an epoch has 600 in 10 of 64")
