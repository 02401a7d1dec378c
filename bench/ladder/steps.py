"""The ladder steps, each a function in its own right that differs from the one before it by what its row says.

Those that begin alike on the CPU and on a GPU. What only a GPU can do is in `bench.ladder.graphs` and
`bench.ladder.kernels`, what needs a C compiler in `bench.ladder.native`; the rows are in `bench.ladder.table`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from bench.axes.case import Case, why_impossible
from bench.errors import BenchError
from bench.ladder.program import (
    BATCH_SIZE,
    BETAS,
    EPSILON,
    LEARNING_RATE,
    FreshTraining,
    Steps,
    flat_images,
    one_by_one,
    parameters,
)
from bench.measure import settings
from fcnn import train
from fcnn.data import Images, TensorBatches, as_tensors, loader

SIZES = ((50, 784), (50,), (10, 50), (10,))


def tutorial(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The tutorial's loop: a DataLoader over torchvision's MNIST with ToTensor."""
    training = train.make_training(device, seed)
    batches = loader(images.train, BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def workers(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The images are decoded in processes of their own, one a core; a GPU fetches them from pinned memory."""
    training = train.make_training(device, seed)
    count, pinned = settings.default_threads(), device.type != "cpu"
    case = Case(workload="epoch", device=device.type, feed="loader", num_workers=count, pin_memory=pinned)
    if reason := why_impossible(case, len(images.train)):
        raise BenchError(reason)
    batches = loader(images.train, BATCH_SIZE, shuffle=True, seed=seed, num_workers=count, pin_memory=pinned)
    return _program(training, batches)


def decoded_once(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The images are tensors from the beginning; the DataLoader still collects a batch image by image."""
    training = train.make_training(device, seed)
    batches = DataLoader(TensorDataset(*as_tensors(images.train)), BATCH_SIZE, shuffle=True)
    return _program(training, batches)


def index_select(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """A batch is one gather from the tensor of all images."""
    training = train.make_training(device, seed)
    batches = TensorBatches(*as_tensors(images.train), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def resident(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """That tensor lies in the GPU's memory, and batches are gathered there."""
    training = train.make_training(device, seed)
    pixels, labels = as_tensors(images.train)
    batches = TensorBatches(pixels.to(device), labels.to(device), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def fused_adam(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """Adam's update is one operator instead of some twenty."""
    training = train.make_training(device, seed, optimizer_options={"fused": True})
    pixels, labels = as_tensors(images.train)
    batches = TensorBatches(pixels.to(device), labels.to(device), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def one_thread(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """One thread: no operator waits for another core, and none has its help."""
    settings.use_threads(1)
    return fused_adam(images, seed, device)


def same_thread(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The backward pass runs on this thread: autograd's own for the device is neither woken nor waited for."""
    torch.autograd.set_multithreading_enabled(False)
    return fused_adam(images, seed, device)


def by_hand(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """Forward and backward pass are written out as ATen calls into buffers: no autograd, modules, optimizer object."""
    return one_by_one(written_out(images, seed, device))


def compiled(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The written-out step, compiled: one call into generated code; the last, smaller batch gets code of its own."""
    return one_by_one(generated(images, seed, device, mode="default"))


def bf16(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The reference's step with matrix products in bfloat16."""
    options = {"fused": True}
    training = train.make_training(device, seed, optimizer_options=options, amp_dtype=torch.bfloat16)
    batches = TensorBatches(*as_tensors(images.train), BATCH_SIZE, shuffle=True, seed=seed)
    return _program(training, batches)


def written_out(images: Images, seed: int, device: torch.device) -> Steps:
    """The step as ATen calls into buffers.

    The gradient of softmax and cross-entropy together is the probabilities less one-hot labels, over the batch.
    """
    pixels, labels = flat_images(images, device)
    flat, weights = flattened([weight.to(device) for weight in parameters(seed)])
    gradient, gradients = flattened([torch.zeros_like(weight) for weight in weights])
    first, second, steps = torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros((), device=device)
    w1, b1, w2, b2 = weights
    rows = torch.empty(BATCH_SIZE, pixels.shape[1], device=device)
    minus_one, total = torch.full((BATCH_SIZE, 1), -1.0, device=device), torch.zeros((), device=device)

    @torch.no_grad()
    def step(chosen: Tensor) -> None:
        count = len(chosen)
        x, y = torch.index_select(pixels, 0, chosen, out=rows[:count]), labels[chosen]
        hidden = torch.addmm(b1, x, w1.t()).relu_()
        scores = torch.addmm(b2, hidden, w2.t()).log_softmax(1)
        total.sub_(scores.gather(1, y[:, None]).mean())
        scores.exp_().scatter_add_(1, y[:, None], minus_one[:count]).div_(count)
        torch.mm(scores.t(), hidden, out=gradients[2])
        torch.sum(scores, 0, out=gradients[3])
        back = torch.ops.aten.threshold_backward(torch.mm(scores, w2), hidden, 0)
        torch.mm(back.t(), x, out=gradients[0])
        torch.sum(back, 0, out=gradients[1])
        steps.add_(1)
        # What `torch.optim.Adam(fused=True)` calls in the end.
        torch._fused_adam_(
            [flat], [gradient], [first], [second], [], [steps], lr=LEARNING_RATE, beta1=BETAS[0], beta2=BETAS[1],
            weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    return Steps(step, len(labels), _generator(device, seed), (flat, first, second, steps, total), weights, total)


def generated(
    images: Images, seed: int, device: torch.device, *, mode: str, dtype: torch.dtype = torch.float32
) -> Steps:
    """The step as one function that torch.compile turns into code, its matrix products in `dtype`.

    The last, smaller batch has code of its own, of the default mode: to search for the fastest kernels of two batch
    sizes took 93 s on an H200, and one of them is that of a single step in 938.
    """
    pixels, labels = flat_images(images, device)
    flat, weights = flattened([weight.to(device) for weight in parameters(seed)])
    first, second, steps = torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros((), device=device)
    total = torch.zeros((), device=device)

    @torch.no_grad()
    def step(chosen: Tensor) -> None:
        function = _compiled(mode if len(chosen) == BATCH_SIZE else "default")
        function(pixels, labels, flat, first, second, steps, total, chosen, dtype)

    return Steps(step, len(labels), _generator(device, seed), (flat, first, second, steps, total), weights, total)


@functools.cache
def _compiled(mode: str) -> Callable[..., None]:
    """One for all seeds of a process, so that only the first pays for compiling."""
    return torch.compile(pure_step, mode=mode, dynamic=False)


def pure_step(
    pixels: Tensor, labels: Tensor, flat: Tensor, first: Tensor, second: Tensor, steps: Tensor, total: Tensor,
    chosen: Tensor, dtype: torch.dtype,
) -> None:  # fmt: skip
    """The written-out step without buffers, which the compiler places itself."""
    w1, b1, w2, b2 = _views(flat, SIZES)
    x, y, v1, v2 = pixels[chosen].to(dtype), labels[chosen], w1.to(dtype), w2.to(dtype)
    hidden = torch.addmm(b1.to(dtype), x, v1.t()).relu()
    scores = torch.addmm(b2.to(dtype), hidden, v2.t()).float().log_softmax(1)
    one_hot = (y[:, None] == torch.arange(len(b2), device=y.device)).float()
    total.sub_((scores * one_hot).sum() / len(chosen))
    scores = (scores.exp() - one_hot) / len(chosen)
    narrow = scores.to(dtype)
    back = torch.mm(narrow, v2) * (hidden > 0)
    products = (torch.mm(back.t(), x), back.float().sum(0), torch.mm(narrow.t(), hidden), scores.sum(0))
    gradient = torch.cat([product.float().flatten() for product in products])
    steps.add_(1)
    first.lerp_(gradient, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    rate = LEARNING_RATE / (1 - BETAS[0] ** steps)
    flat.sub_(rate * first / ((second / (1 - BETAS[1] ** steps)).sqrt() + EPSILON))


def flattened(tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One tensor of all numbers, and views of it in the given shapes: Adam then updates one tensor."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    return flat, _views(flat, [tuple(tensor.shape) for tensor in tensors])


def _views(flat: Tensor, sizes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    parts = flat.split([math.prod(size) for size in sizes])
    return [part.view(size) for part, size in zip(parts, sizes, strict=True)]


def _generator(device: torch.device, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def _program(training: train.Training, batches: train.Batches) -> FreshTraining:
    return FreshTraining(lambda: train.train_epoch(training, batches), lambda: list(training.model.parameters()))
