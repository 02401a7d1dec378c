"""What a case repeats: every workload on small images."""

import itertools

import pytest
import torch

from bench.measure import settings
from bench.measure.claims import why_not_as_claimed
from bench.measure.clock import Clock
from bench.measure.counters import count
from bench.workers import workloads
from fcnn.data import load_images
from tests.axes.test_case import changed


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


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


def test_an_inference_is_in_eval_mode_and_keeps_nothing_for_a_backward_pass(images):
    prepared = workloads.inference(changed(workload="inference", batch_size=32, threads=1), images)
    scores = prepared.repeat()
    assert (scores.shape, scores.requires_grad) == ((32, 10), False)
    assert not prepared.training.model.training
    assert all(parameter.grad is None for parameter in prepared.training.model.parameters())
    assert prepared.images_per_repetition == 32


@pytest.mark.parametrize("workload", list(workloads.BUILDERS))
def test_a_case_of_another_size_does_the_work_that_is_claimed_of_it(images, workload):
    case = changed(workload=workload, batch_size=32, hidden_size=20, threads=1)
    settings.apply(case)
    prepared = workloads.BUILDERS[workload](case, images)
    prepared.repeat()
    counters = count(prepared.counted, prepared.training, Clock(), compiled=False, growth=False)
    assert counters.parameter_bytes == 4 * (784 * 20 + 20 + 20 * 10 + 10)
    assert why_not_as_claimed(case, prepared.training, counters) is None


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


def test_a_feed_that_ends_before_the_looked_at_beginning_is_all_of_its_epoch(images):
    prepared = workloads.epoch(changed(workload="epoch", threads=1), images)
    prepared.marked(steps=3)
    assert (prepared.fed.batch_sizes, prepared.fed.whole) == ([64] * 3, False)
    prepared.marked(steps=99)
    assert (prepared.fed.batch_sizes, prepared.fed.whole) == ([64] * 10, True)


@pytest.mark.parametrize(("batch_size", "last"), [(48, [16]), (64, [])])
def test_a_smaller_last_batch_is_among_the_first(images, batch_size, last):
    batch = torch.zeros(batch_size, 784), torch.zeros(batch_size, dtype=torch.int64)
    found = workloads.first_batches(itertools.repeat(batch), changed(batch_size=batch_size), images)
    assert [len(labels) for _, labels in found] == [batch_size] * workloads.FIRST_BATCHES + last
