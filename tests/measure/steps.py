"""The real training step on made-up images, for tests that count or take apart what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.measure.clock import Clock
from bench.measure.counters import count
from bench.record.measurement import Counters
from fcnn.train import Mark, Training, make_training, train_step, unmarked


def random_batch(batch_size: int = 64) -> tuple[Tensor, Tensor]:
    """Images and labels that are always the same."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch_size, 1, 28, 28, generator=generator)
    return images, torch.randint(10, (batch_size,), generator=generator)


def random_step(batch_size: int = 64, **choices: Any) -> tuple[Training, Callable[..., Tensor]]:
    """A training, made with `choices`, and its step on one batch, which takes a mark."""
    training = make_training(torch.device("cpu"), **choices)
    batch = random_batch(batch_size)

    def step(mark: Mark = unmarked) -> Tensor:
        return train_step(training, *batch, mark)

    return training, step


def counters_of(repeat: Callable[[], object], training: Training, *, growth: bool = False) -> Counters:
    """As the suite counts, without the hundred repetitions."""
    return count(repeat, training, Clock(), growth=growth)
