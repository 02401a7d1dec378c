"""What every rung and every peer makes: a training whose epoch can be timed and whose weights can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcnn import train
from fcnn.data import Images, TensorBatches, as_tensors
from fcnn.model import FCNN

BATCH_SIZE, LEARNING_RATE, BETAS, EPSILON = 64, 0.001, (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Program:
    """A fresh training from a seed.

    Attributes:
        epoch: Trains on every image once, in a new order.
        weights: What it has learned by then: fc1 [50, 784], [50], fc2 [10, 50], [10].
    """

    epoch: Callable[[], object]
    weights: Callable[[], Sequence[Tensor]]


def parameters(seed: int) -> list[Tensor]:
    """The initial weights and biases of a seed, as the reference has them: fc1 [50, 784], [50], fc2 [10, 50], [10]."""
    return [p.detach().clone() for p in train.make_training(torch.device("cpu"), seed).model.parameters()]


def order(count: int, generator: torch.Generator) -> Tensor:
    """A new order of so many images."""
    return torch.randperm(count, generator=generator)


def accuracy(images: Images, weights: Sequence[Tensor]) -> float:
    """The test accuracy of a network with these weights, by the reference's own evaluation."""
    model = FCNN()
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight)
    return train.evaluate(model, TensorBatches(*as_tensors(images.test), 2048, shuffle=False), torch.device("cpu"))


def flat_images(images: Images) -> tuple[Tensor, Tensor]:
    """The training images as [n, 784] in 0..1, and their labels [n]."""
    pixels, labels = as_tensors(images.train)
    return pixels.reshape(len(pixels), -1).contiguous(), labels
