"""The rungs, each a function in its own right that differs from the one before it by what its row says."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from bench.ladder import native
from bench.ladder.program import (
    BATCH_SIZE,
    BETAS,
    EPSILON,
    LEARNING_RATE,
    Program,
    flat_images,
    order,
    parameters,
)
from bench.measure import settings
from bench.measure.facts import has
from fcnn import train
from fcnn.data import Images, TensorBatches, as_tensors, loader

CPU = torch.device("cpu")
SIZES = ((50, 784), (50,), (10, 50), (10,))


def tutorial(images: Images, seed: int) -> Program:
    """The tutorial's loop: a DataLoader over torchvision's MNIST with ToTensor."""
    training = train.make_training(CPU, seed)
    batches = loader(images.train, BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def workers(images: Images, seed: int) -> Program:
    """The images are decoded in processes of their own, one a core."""
    training = train.make_training(CPU, seed)
    batches = loader(images.train, BATCH_SIZE, shuffle=True, seed=seed, num_workers=settings.default_threads())
    return _program(training, batches)


def decoded_once(images: Images, seed: int) -> Program:
    """The images are tensors from the beginning; the DataLoader still collects a batch image by image."""
    training = train.make_training(CPU, seed)
    batches = DataLoader(TensorDataset(*as_tensors(images.train)), BATCH_SIZE, shuffle=True)
    return _program(training, batches)


def index_select(images: Images, seed: int) -> Program:
    """A batch is one gather from the tensor of all images."""
    training = train.make_training(CPU, seed)
    batches = TensorBatches(*as_tensors(images.train), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def fused_adam(images: Images, seed: int) -> Program:
    """Adam's update is one operator instead of some twenty."""
    training = train.make_training(CPU, seed, optimizer_options={"fused": True})
    batches = TensorBatches(*as_tensors(images.train), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def one_thread(images: Images, seed: int) -> Program:
    """One thread: no operator waits for another core, and none has its help."""
    settings.use_threads(1)
    return fused_adam(images, seed)


def by_hand(images: Images, seed: int) -> Program:
    """Forward and backward pass are written out as ATen calls into buffers: no autograd, modules or optimizer object.

    The gradient of softmax and cross-entropy together is the probabilities less one-hot labels, over the batch.
    """
    pixels, labels = flat_images(images)
    flat, weights = _flat(parameters(seed))
    gradient, gradients = _flat([torch.zeros_like(weight) for weight in weights])
    moments, steps = [torch.zeros_like(flat) for _ in range(2)], torch.zeros(())
    w1, b1, w2, b2 = weights
    generator = torch.Generator().manual_seed(seed)
    rows, minus_one = torch.empty(BATCH_SIZE, pixels.shape[1]), torch.full((BATCH_SIZE, 1), -1.0)

    @torch.no_grad()
    def epoch() -> None:
        shuffled = order(len(labels), generator)
        for chosen in shuffled.split(BATCH_SIZE):
            count = len(chosen)
            x, y = torch.index_select(pixels, 0, chosen, out=rows[:count]), labels[chosen]
            hidden = torch.addmm(b1, x, w1.t()).relu_()
            scores = torch.addmm(b2, hidden, w2.t()).softmax(1)
            scores.scatter_add_(1, y[:, None], minus_one[:count]).div_(count)
            torch.mm(scores.t(), hidden, out=gradients[2])
            torch.sum(scores, 0, out=gradients[3])
            back = torch.ops.aten.threshold_backward(torch.mm(scores, w2), hidden, 0)
            torch.mm(back.t(), x, out=gradients[0])
            torch.sum(back, 0, out=gradients[1])
            _adam(flat, gradient, moments, steps)

    return Program(epoch, lambda: weights)


def compiled(images: Images, seed: int) -> Program:
    """The written-out step, compiled: one call into generated code; the last, smaller batch gets code of its own."""
    pixels, labels = flat_images(images)
    flat, weights = _flat(parameters(seed))
    moments, steps = [torch.zeros_like(flat) for _ in range(2)], torch.zeros(())
    generator = torch.Generator().manual_seed(seed)
    step = _compiled_step()

    @torch.no_grad()
    def epoch() -> None:
        for chosen in order(len(labels), generator).split(BATCH_SIZE):
            step(pixels, labels, flat, *moments, steps, chosen)

    return Program(epoch, lambda: weights)


@functools.cache
def _compiled_step() -> Callable[..., None]:
    """One for all seeds of a process, so that only the first pays for compiling."""
    return torch.compile(_step, dynamic=False)


def _step(
    pixels: Tensor, labels: Tensor, flat: Tensor, first: Tensor, second: Tensor, steps: Tensor, chosen: Tensor
) -> None:
    w1, b1, w2, b2 = _views(flat, SIZES)
    x, y = pixels[chosen], labels[chosen]
    hidden = torch.addmm(b1, x, w1.t()).relu()
    scores = torch.addmm(b2, hidden, w2.t()).softmax(1)
    scores = (scores - torch.nn.functional.one_hot(y, len(b2))) / len(chosen)
    back = torch.mm(scores, w2) * (hidden > 0)
    gradient = torch.cat(
        [torch.mm(back.t(), x).flatten(), back.sum(0), torch.mm(scores.t(), hidden).flatten(), scores.sum(0)]
    )
    steps.add_(1)
    first.lerp_(gradient, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    rate = LEARNING_RATE / (1 - BETAS[0] ** steps)
    flat.sub_(rate * first / ((second / (1 - BETAS[1] ** steps)).sqrt() + EPSILON))


def bf16(images: Images, seed: int) -> Program:
    """The reference's step with matrix products in bfloat16."""
    training = train.make_training(CPU, seed, optimizer_options={"fused": True}, amp_dtype=torch.bfloat16)
    batches = TensorBatches(*as_tensors(images.train), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def one_function(images: Images, seed: int) -> Program:
    """The whole epoch is one function in C that skips black pixels: four fifths of all, and they add nothing."""
    return native.program(images, seed)


def _program(training: train.Training, batches: train.Batches) -> Program:
    return Program(lambda: train.train_epoch(training, batches), lambda: list(training.model.parameters()))


def _flat(tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One tensor of all numbers, and views of it in the given shapes: Adam then updates one tensor."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    return flat, _views(flat, [tuple(tensor.shape) for tensor in tensors])


def _views(flat: Tensor, sizes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    parts = flat.split([math.prod(size) for size in sizes])
    return [part.view(size) for part, size in zip(parts, sizes, strict=True)]


def _adam(flat: Tensor, gradient: Tensor, moments: list[Tensor], steps: Tensor) -> None:
    """What `torch.optim.Adam(fused=True)` calls in the end."""
    steps.add_(1)
    torch._fused_adam_(
        [flat], [gradient], [moments[0]], [moments[1]], [], [steps],
        lr=LEARNING_RATE, beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Rung:
    """A row of the ladder.

    Attributes:
        make: A fresh training from images and a seed.
        removed: What the rung takes away from the one before it.
        why_not: Why it cannot be climbed here; None if it can.
        also: Functions and files that belong to it, beside `make`.
    """

    name: str
    make: Callable[[Images, int], Program]
    removed: str
    why_not: Callable[[], str | None] = lambda: None
    also: tuple[Callable[..., object] | Path, ...] = ()


def _without_bf16() -> str | None:
    return "this CPU has no bf16 instructions and emulates them" if has("bf16") is False else None


RUNGS = (
    Rung("tutorial", tutorial, ""),
    Rung("workers", workers, "waiting for images: other processes decode them"),
    Rung("decoded once", decoded_once, "decoding: PIL images and ToTensor, 60,000 times an epoch"),
    Rung("index_select", index_select, "collecting a batch from 64 tensors in Python"),
    Rung("fused Adam", fused_adam, "34 of a step's 75 operator calls, the optimizer's"),
    Rung("one thread", one_thread, "handing pieces of small operators to another core"),
    Rung("by hand", by_hand, "autograd, modules and the optimizer's Python; one tensor instead of four"),
    Rung("compiled", compiled, "the calls of single operators", also=(_step,)),
    Rung("bf16", bf16, "half of the bytes, where the CPU has the instructions", _without_bf16),
    Rung(
        "one function in C",
        one_function,
        "Python, all calls, and the arithmetic on black pixels",
        native.why_not,
        (native.program, native.SOURCE),
    ),
)
