"""The only training loop there is, in seven named parts, and the evaluation."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcnn.hyperparameters import REFERENCE, Hyperparameters
from fcnn.model import FCNN, check_shapes

Batches = Iterable[tuple[Tensor, Tensor]]
Mark = Callable[[str], None]
Step = Callable[["Training", Tensor, Tensor, Mark], Tensor]
PARTS = ("to_device", "flatten", "zero_grad", "forward", "loss", "backward", "optimizer")


@dataclass
class Training:
    """What a training step needs.

    Attributes:
        amp_dtype: Number format of automatic mixed precision; None computes in float32 throughout.
        scaler: Scales the loss so that float16 gradients do not vanish; None where it is not needed.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    amp_dtype: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None


def make_training(
    device: torch.device,
    seed: int = 0,
    hyperparameters: Hyperparameters = REFERENCE,
    *,
    optimizer_options: Mapping[str, bool] | None = None,
    amp_dtype: torch.dtype | None = None,
    use_scaler: bool = False,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
) -> Training:
    """A fresh network with its loss function and optimizer; the same `seed` gives the same weights.

    Args:
        device: Where to train.
        seed: Seeds torch's generators for the initial weights.
        hyperparameters: Sizes and learning rate.
        optimizer_options: More arguments for Adam, such as `{"fused": True}`.
        amp_dtype: Number format of automatic mixed precision, or None.
        use_scaler: Whether to scale the loss, for float16.
        wrap: Applied to the checked model, such as `torch.compile`.
    """
    h = hyperparameters
    torch.manual_seed(seed)
    model: nn.Module = FCNN(h.input_size, h.hidden_size, h.num_classes).to(device)
    check_shapes(model, h.batch_size, h.input_size, h.num_classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=h.learning_rate, **(optimizer_options or {}))  # type: ignore[arg-type]
    return Training(
        model=wrap(model) if wrap else model,
        criterion=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        device=device,
        amp_dtype=amp_dtype,
        scaler=torch.amp.GradScaler(device.type) if use_scaler else None,
    )


def unmarked(part: str) -> None:
    """The default mark: nobody wants to know that `part` is done."""


def train_step(training: Training, images: Tensor, labels: Tensor, mark: Mark = unmarked) -> Tensor:
    """Learns from one batch.

    Args:
        training: What to train; its model and optimizer change.
        images: [batch, 1, 28, 28] or [batch, 784] in 0..1, on any device.
        labels: [batch] class numbers, int64.
        mark: Called with the name of each part when that part is done.

    Returns:
        The batch's mean loss, still on the device: reading its value would make the host wait for the device.
    """
    images, labels = to_device(training, images, labels)
    mark("to_device")
    images = flatten(images)
    mark("flatten")
    training.optimizer.zero_grad()
    mark("zero_grad")
    scores = forward(training, images)
    mark("forward")
    loss = compute_loss(training, scores, labels)
    mark("loss")
    backward(training, loss)
    mark("backward")
    optimizer_step(training)
    mark("optimizer")
    return loss.detach()


def to_device(training: Training, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The batch on the training's device; free of cost if it is there. Only pinned memory is copied asynchronously."""
    # Towards CUDA the stream puts the copy before its use; one towards the CPU could be read half-done.
    device, unblocked = training.device, training.device.type == "cuda"
    return images.to(device, non_blocking=unblocked), labels.to(device, non_blocking=unblocked)


def flatten(images: Tensor) -> Tensor:
    """[batch, 1, 28, 28] as [batch, 784], without a copy."""
    return images.reshape(images.shape[0], -1)


def forward(training: Training, images: Tensor) -> Tensor:
    """Scores [batch, classes]."""
    with _amp(training):
        return training.model(images)  # type: ignore[no-any-return]


def compute_loss(training: Training, scores: Tensor, labels: Tensor) -> Tensor:
    """The batch's mean loss."""
    with _amp(training):
        return training.criterion(scores, labels)  # type: ignore[no-any-return]


def backward(training: Training, loss: Tensor) -> None:
    """Leaves the gradients in the parameters' `grad`, scaled if there is a scaler."""
    if training.scaler:
        loss = training.scaler.scale(loss)
    loss.backward()


def optimizer_step(training: Training) -> None:
    """Updates the parameters; with a scaler, only if no gradient overflowed."""
    if training.scaler:
        training.scaler.step(training.optimizer)
        training.scaler.update()
    else:
        training.optimizer.step()


def _amp(training: Training) -> contextlib.AbstractContextManager[object]:
    # Entering a disabled autocast costs microseconds, which a step of a few hundred would show.
    if training.amp_dtype is None:
        return _NO_AMP
    return torch.autocast(training.device.type, dtype=training.amp_dtype)


_NO_AMP = contextlib.nullcontext()


def train_epoch(
    training: Training,
    batches: Batches,
    mark: Mark = unmarked,
    on_step: Callable[[int], None] | None = None,
    step: Step | None = None,
) -> float:
    """Learns from every batch once and returns their mean loss.

    Args:
        training: What to train.
        batches: (images, labels) as `train_step` takes them.
        mark: Called when a batch has been fetched (`"fetch"`) and after every part of its step.
        on_step: Called with the number of steps done, after each.
        step: What learns from a batch instead of `train_step`, such as the same captured as a CUDA graph.

    Raises:
        ValueError: There was no batch.
    """
    step, total, steps = step or train_step, torch.zeros((), device=training.device), 0
    for images, labels in batches:
        mark("fetch")
        total += step(training, images, labels, mark)
        steps += 1
        if on_step:
            on_step(steps)
    if steps == 0:
        raise ValueError("there is no batch to train on")
    return total.item() / steps  # the epoch's only wait for the device


def evaluate(model: nn.Module, batches: Batches, device: torch.device) -> float:
    """The fraction of images that `model` gives the highest score to the right class; its mode is left as it was.

    Raises:
        ValueError: There was no image.
    """
    was_training = model.training
    model.eval()
    correct, samples = torch.zeros((), dtype=torch.int64, device=device), 0
    try:
        with torch.no_grad():
            for images, labels in batches:
                predictions = model(flatten(images.to(device))).max(1).indices
                correct += (predictions == labels.to(device)).sum()
                samples += len(labels)
    finally:
        model.train(was_training)
    if samples == 0:
        raise ValueError("there is no image to evaluate on")
    return int(correct) / samples
