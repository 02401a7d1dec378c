import itertools

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fcnn import train
from fcnn.train import PARTS, evaluate, make_training, train_epoch, train_step

CPU = torch.device("cpu")


def batch(size: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(size, 1, 28, 28, generator=generator), torch.randint(0, 10, (size,), generator=generator)


def test_the_step_has_its_seven_parts_in_order():
    marks: list[str] = []
    train_step(make_training(CPU), *batch(), mark=marks.append)
    assert tuple(marks) == PARTS
    assert len(PARTS) == 7


def test_a_step_is_adams_update_of_the_cross_entropy():
    """Against the step written out by hand in float64: Kingma and Ba, 2015, algorithm 1."""
    training = make_training(CPU)
    training.model.double()
    images, labels = batch(16)
    images = images.double()
    w1, b1, w2, b2 = (p.detach().clone() for p in training.model.parameters())
    x = images.reshape(16, 784)
    z = x @ w1.T + b1
    h = z.clamp(min=0)
    scores = h @ w2.T + b2
    p = torch.softmax(scores, 1)
    loss = -p[torch.arange(16), labels].log().mean()
    d_scores = (p - nn.functional.one_hot(labels, 10)) / 16
    d_z = (d_scores @ w2) * (z > 0)
    gradients = (d_z.T @ x, d_z.sum(0), d_scores.T @ h, d_scores.sum(0))
    step_loss = train_step(training, images, labels)
    assert torch.allclose(step_loss, loss)
    for parameter, before, g in zip(training.model.parameters(), (w1, b1, w2, b2), gradients, strict=True):
        # The first step: both moments are corrected to g and g squared.
        expected = before - 0.001 * g / (g.abs() + 1e-8)
        assert torch.allclose(parameter.detach(), expected, atol=1e-9)


def test_flat_and_square_images_are_the_same_to_it():
    images, labels = batch()
    losses = [train_step(make_training(CPU), x, labels) for x in (images, images.reshape(64, 784))]
    assert torch.equal(*losses)


@pytest.mark.parametrize(("kind", "unblocked"), [("cuda", True), ("cpu", False), ("mps", False)])
def test_only_copies_towards_cuda_run_on_without_being_waited_for(kind, unblocked):
    """A copy to the CPU that is not waited for can be read before it has arrived."""

    class Batch:
        def to(self, device, non_blocking):
            return device.type, non_blocking

    training = make_training(CPU)
    training.device = torch.device(kind)
    assert train.to_device(training, Batch(), Batch()) == ((kind, unblocked),) * 2


def test_a_batch_that_is_there_already_is_not_copied():
    images, labels = batch()
    there = train.to_device(make_training(CPU), images, labels)
    assert there[0] is images
    assert there[1] is labels


def test_the_same_seed_gives_the_same_training_to_the_bit():
    def weights(seed: int) -> list[torch.Tensor]:
        training = make_training(CPU, seed)
        train_epoch(training, [batch(seed=s) for s in range(5)])
        return [p.detach() for p in training.model.parameters()]

    assert all(map(torch.equal, weights(1), weights(1)))
    assert not any(map(torch.equal, weights(1), weights(2)))


class Calls(TorchDispatchMode):
    """Collects the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_a_step_never_waits_for_the_device_and_an_epoch_once():
    training = make_training(CPU, optimizer_options={"fused": True})
    with Calls() as calls:
        train_step(training, *batch())
    assert "mm" in calls.names or "addmm" in calls.names
    assert "_local_scalar_dense" not in calls.names
    with Calls() as calls:
        train_epoch(training, [batch(), batch()])
    assert calls.names.count("_local_scalar_dense") == 1


@pytest.mark.parametrize(
    "options",
    [
        {"amp_dtype": torch.bfloat16},
        {"amp_dtype": torch.float16, "use_scaler": True},
        {"optimizer_options": {"fused": True}},
        {"optimizer_options": {"foreach": True}},
        {"amp_dtype": torch.float16, "use_scaler": True, "optimizer_options": {"fused": True}},
    ],
)
def test_every_way_to_step_learns_about_the_same(options):
    reference, other = make_training(CPU), make_training(CPU, **options)
    for _ in range(20):
        losses = [train_step(training, *batch()) for training in (reference, other)]
    assert losses[0] < 2.0
    assert torch.allclose(losses[0], losses[1].float(), rtol=0.05)


def test_mixed_precision_computes_the_scores_in_its_format():
    training = make_training(CPU, amp_dtype=torch.bfloat16)
    scores = train.forward(training, torch.rand(4, 784))
    assert scores.dtype == torch.bfloat16
    assert train.compute_loss(training, scores, torch.zeros(4, dtype=torch.int64)).dtype == torch.float32


def test_the_scaler_scales_the_gradients():
    images, labels = batch()
    gradients = []
    for use_scaler in (False, True):
        training = make_training(CPU, use_scaler=use_scaler)
        train.backward(training, train.compute_loss(training, training.model(images.flatten(1)), labels))
        gradients.append(training.model.fc2.bias.grad)
    assert torch.allclose(gradients[1] / 65536, gradients[0], rtol=1e-3)


def test_an_epoch_visits_every_batch_and_returns_the_mean_loss():
    seen: list[int] = []
    marks: list[str] = []
    batches = [batch(size, size) for size in (32, 32, 8)]
    losses = []
    training = make_training(CPU)
    for one in batches:
        losses.append(train_step(training, *one).item())
    mean_loss = train_epoch(make_training(CPU), iter(batches), mark=marks.append, on_step=seen.append)
    assert mean_loss == pytest.approx(sum(losses) / 3)
    assert seen == [1, 2, 3]
    assert marks == ["fetch", *PARTS] * 3
    with pytest.raises(ValueError, match="no batch"):
        train_epoch(training, [])


class Fixed(nn.Module):
    """Gives the class in the first pixel the highest score, and remembers its mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        return nn.functional.one_hot(x[:, 0].long(), 10).float()


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_counts_right_answers_and_leaves_the_mode(mode):
    labels = torch.arange(10).repeat(3)
    images = torch.zeros(30, 1, 28, 28)
    images[:, 0, 0, 0] = torch.where(torch.arange(30) < 24, labels, (labels + 1) % 10)
    model = Fixed().train(mode)
    batches = zip(images.split(7), labels.split(7), strict=True)  # type: ignore[no-untyped-call]
    assert evaluate(model, batches, CPU) == 24 / 30
    assert model.training is mode


def test_evaluate_restores_the_mode_after_an_error_too():
    model = Fixed().train()
    with pytest.raises(ValueError, match="no image"):
        evaluate(model, [], CPU)
    with pytest.raises(AttributeError):
        evaluate(model, [(None, None)], CPU)  # type: ignore[list-item]
    assert model.training


def test_wrapping_sees_the_checked_model_and_the_optimizer_keeps_its_parameters():
    wrapped = []
    training = make_training(CPU, wrap=lambda model: nn.Sequential(wrapped.append(model) or model))  # type: ignore[func-returns-value]
    parameters = itertools.chain.from_iterable(group["params"] for group in training.optimizer.param_groups)
    assert [id(p) for p in parameters] == [id(p) for p in wrapped[0].parameters()]
