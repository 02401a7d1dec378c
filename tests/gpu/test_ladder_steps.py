"""The ladder's steps where they belong: the same order of images and the same formulas leave the same weights."""

import functools
import gc

import pytest
import torch

from bench.ladder import graphs, persistent, steps
from bench.ladder.program import BATCH_SIZE, order
from bench.ladder.table import STEPS
from fcnn import train
from fcnn.data import load_images

CUDA = torch.device("cuda")
EPOCHS = 2  # of ten steps, the last of a smaller batch
NAMES = [row.name for row in STEPS["cuda"]]
# From the first on that has images and generator on the GPU: those before draw another order.
OTHERS = [row for row in STEPS["cuda"][NAMES.index("resident") + 1 :] if row.name != "bf16"]
(BF16,) = (row for row in STEPS["cuda"] if row.name == "bf16")


@pytest.fixture
def images(mnist_root, monkeypatch):
    # What is fastest of many candidates computes the same, and takes a minute to be found.
    monkeypatch.setattr(graphs, "MODE", "default")
    images = load_images("MNIST", mnist_root)
    images.train.data, images.train.targets = images.train.data[:600], images.train.targets[:600]
    yield images
    gc.collect()  # graphs and what they hold


def trained(make, images, epochs=EPOCHS, seed=4):
    """The weights, and every epoch's mean loss."""
    program = make(images, seed, CUDA)
    losses = [program.epoch() for _ in range(epochs)]
    return [weight.detach().cpu().clone() for weight in program.weights()], losses


def skip_unless_here(row):
    if reason := row.why_not():
        pytest.skip(reason)


@pytest.mark.gpu(limit_seconds=90)
@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row.name)
def test_a_step_reaches_the_weights_and_the_losses_of_the_resident_one(row, images):
    skip_unless_here(row)
    (expected, expected_losses), (found, losses) = trained(steps.resident, images), trained(row.make, images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=0)
    assert losses == pytest.approx(expected_losses, rel=1e-4)


@pytest.mark.gpu(limit_seconds=90)
def test_in_bfloat16_the_weights_go_the_same_way(images):
    """Adam makes steps of one size from gradients of any, so that rounding shows in each weight: not in their mean."""
    skip_unless_here(BF16)
    begin, _ = trained(steps.resident, images, epochs=0)
    (expected, expected_losses), (found, losses) = trained(steps.resident, images), trained(BF16.make, images)
    for before, one, other in zip(begin, found, expected, strict=True):
        assert (one - other).abs().mean() < 0.05 * (other - before).abs().mean()
    assert losses == pytest.approx(expected_losses, rel=1e-2)


def test_a_graph_is_replayed_without_python_and_with_new_images(images, monkeypatch):
    program = graphs.graph_an_epoch(images, 4, CUDA)
    monkeypatch.setattr(graphs.train, "train_step", None)
    before = [weight.detach().clone() for weight in program.weights()]
    first, second = program.epoch(), program.epoch()
    assert 0 < second < first
    assert not any(map(torch.equal, program.weights(), before))


def test_what_is_recorded_is_computed_anew_in_the_same_memory():
    one, other = torch.ones(4, device=CUDA), torch.zeros(4, device=CUDA)
    replay = graphs.capture(lambda: other.copy_(one + one), warm=lambda: one + one)
    one.fill_(3.0)
    replay()
    assert other.tolist() == [6.0] * 4


# Persistent kernels


def in_triton(*both):
    from bench.ladder import persistent_triton

    persistent_triton.queue(*both)


KERNELS = pytest.mark.parametrize("launch", [persistent.queue, in_triton], ids=["C++", "Triton"])


@pytest.fixture
def learner(images):
    if reason := persistent.why_not():
        pytest.skip(reason)
    return persistent.Resident(images, 4, CUDA)


@pytest.mark.parametrize("count", [1, 40, 64, 65, 128, 192, 256, 320, 600])
@KERNELS
def test_a_persistent_kernel_learns_from_any_number_of_images(learner, launch, count):
    """One to ten steps: the first that is wrong says which of the three sums, or the barrier, is at fault."""
    chosen = order(600, torch.Generator(CUDA).manual_seed(4))[:count]
    loss = learner.learn(chosen, launch)
    training = train.make_training(CUDA, 4)
    losses = [
        train.train_step(training, learner.pixels[part], learner.labels[part]).item()
        for part in chosen.split(BATCH_SIZE)
    ]
    for weight, expected in zip(learner.weights, training.model.parameters(), strict=True):
        torch.testing.assert_close(weight, expected.detach(), atol=2e-4, rtol=0)
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_a_barrier_at_which_a_block_is_missing_ends_in_an_error_and_leaves_the_weights(learner):
    launch = functools.partial(persistent.queue, blocks=persistent.BLOCKS + 1, most_polls=10_000)
    before, chosen = learner.flat.clone(), torch.arange(BATCH_SIZE, device=CUDA)
    with pytest.raises(RuntimeError, match=r"the kernel's blocks did not meet in step 1 of 1"):
        learner.learn(chosen, launch)
    assert torch.equal(learner.flat, before)
    assert learner.learn(chosen, persistent.queue) > 0  # the GPU is as it was


@KERNELS
def test_a_persistent_kernel_keeps_to_the_stream(learner, launch):
    """What is queued before it on the same stream is done before it begins."""
    assert learner.labels[0] != learner.labels[5]
    chosen = torch.zeros(BATCH_SIZE, dtype=torch.int64, device=CUDA)
    first = learner.learn(torch.full_like(chosen, 5), launch)
    learner.steps = 0
    for tensor in (learner.first, learner.second):
        tensor.zero_()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda.current_stream().wait_stream(torch.cuda.default_stream())
        torch.cuda._sleep(50_000_000)  # cycles
        chosen.fill_(5)
        found = learner.learn(chosen, launch)
    assert found < first  # of the one image that it has learned, and not of another
