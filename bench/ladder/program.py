"""What every ladder step and peer makes: a training whose epoch can be timed and whose weights can be looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcnn import train
from fcnn.data import Images, TensorBatches, as_tensors
from fcnn.hyperparameters import REFERENCE
from fcnn.model import FCNN

BATCH_SIZE, LEARNING_RATE = REFERENCE.batch_size, REFERENCE.learning_rate
BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's defaults
CPU = torch.device("cpu")


@dataclass(frozen=True)
class FreshTraining:
    """A fresh training from a seed.

    Attributes:
        epoch: Trains on every image once, in a new order, and returns the batches' mean loss, as `fcnn.train` does.
        weights: What it has learned by then: fc1 [50, 784], [50], fc2 [10, 50], [10].
    """

    epoch: Callable[[], float]
    weights: Callable[[], Sequence[Tensor]]


@dataclass(frozen=True)
class Steps:
    """A fresh training of which a step is one call: no batches, modules or optimizer in sight.

    Attributes:
        step: Learns from the images of these numbers [batch], which lie on the training's device.
        count: Training images.
        generator: Draws the order of the images, on that device.
        state: Everything that a step changes for the next one.
        weights: Those of `Program`.
        total: To which a step adds its mean loss, of `state`.
    """

    step: Callable[[Tensor], object]
    count: int
    generator: torch.Generator
    state: Sequence[Tensor]
    weights: Sequence[Tensor]
    total: Tensor

    def order(self) -> Tensor:
        """The numbers of all images, in a new order."""
        return order(self.count, self.generator)

    def mean_loss(self) -> float:
        """Of an epoch before which `total` was zero; waits for the device."""
        return self.total.item() / steps_of(self.count)


def one_by_one(steps: Steps) -> FreshTraining:
    """Every step is a call from Python."""

    def epoch() -> float:
        steps.total.zero_()
        for chosen in steps.order().split(BATCH_SIZE):
            steps.step(chosen)
        return steps.mean_loss()

    return FreshTraining(epoch, lambda: steps.weights)


def steps_of(count: int) -> int:
    """Batches of so many images."""
    return math.ceil(count / BATCH_SIZE)


def parameters(seed: int) -> list[Tensor]:
    """The initial weights and biases of a seed, as the reference has them: fc1 [50, 784], [50], fc2 [10, 50], [10]."""
    return [p.detach().clone() for p in train.make_training(CPU, seed).model.parameters()]


def order(count: int, generator: torch.Generator) -> Tensor:
    """The numbers of so many images in a new order, on the generator's device."""
    return torch.randperm(count, generator=generator, device=generator.device)


def accuracy(images: Images, weights: Sequence[Tensor]) -> float:
    """The test accuracy of a network with these weights, by the reference's own evaluation."""
    model = FCNN()
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight)
    return train.evaluate(model, TensorBatches(*as_tensors(images.test), 2048, shuffle=False), CPU)


def flat_images(images: Images, device: torch.device = CPU) -> tuple[Tensor, Tensor]:
    """The training images as [n, 784] in 0..1, and their labels [n], on `device`."""
    pixels, labels = as_tensors(images.train)
    return pixels.reshape(len(pixels), -1).contiguous().to(device), labels.to(device)
