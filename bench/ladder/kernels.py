"""A training step in two kernels, in Triton, for the ladder step that no longer has a kernel an operator.

A batch of 64 is little for a GPU, and whatever is done one after the other is what takes the time. So the products of
images and weights, summed over 784 pixels, are begun in parts: each program of `begin` has some images and some pixels.
Each program of `learn` then adds the parts up and does what is left of the forward and backward pass for the whole
batch, which is little, so that the others need not wait for one that does it. Then it has its own pixels' share of the
weights' gradients, and hands them from registers to Adam: no gradient is ever written to memory.

Matrices are padded to what a matrix product of Triton takes: 50 hidden units to 64, 10 classes to 16.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from bench.ladder.program import BATCH_SIZE, BETAS, EPSILON, LEARNING_RATE, Steps, flat_images, parameters
from bench.ladder.steps import flattened
from fcnn.data import Images
from fcnn.hyperparameters import REFERENCE

PIXELS = tl.constexpr(REFERENCE.input_size)
HIDDEN, HIDDEN_ROW = tl.constexpr(REFERENCE.hidden_size), tl.constexpr(64)
CLASSES, CLASSES_ROW = tl.constexpr(REFERENCE.num_classes), tl.constexpr(16)
# Where the parameters lie in their one tensor; the first matrix [50, 784] begins it, the small ones follow.
B1 = tl.constexpr(HIDDEN.value * PIXELS.value)
W2 = tl.constexpr(B1.value + HIDDEN.value)
B2 = tl.constexpr(W2.value + CLASSES.value * HIDDEN.value)
SMALL, SMALL_ROW = tl.constexpr(B2.value + CLASSES.value - B1.value), tl.constexpr(1024)
BATCH = tl.constexpr(BATCH_SIZE)
RATE, ONE_LESS_BETA1, ONE_LESS_BETA2, ADAM_EPSILON = map(
    tl.constexpr, (LEARNING_RATE, 1 - BETAS[0], 1 - BETAS[1], EPSILON)
)
LOG_BETA1, LOG_BETA2 = (tl.constexpr(math.log(beta)) for beta in BETAS)
ROWS = tl.constexpr(16)  # images a program of the first kernel, as few as a product takes
DEPTH = tl.constexpr(128)  # pixels a program of the first kernel
PARTS = tl.constexpr(triton.cdiv(PIXELS.value, DEPTH.value))
COLUMNS = tl.constexpr(16)  # pixels a program of the second kernel
WARPS = 8  # a program; with four, registers do not suffice
IEEE = tl.constexpr("ieee")  # float32 products as the reference has them, without tensor cores


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def begin(pixels, chosen, count, flat, steps, sums_to, small_to, early: tl.constexpr):  # type: ignore[no-untyped-def]
    """Hidden units of `ROWS` images, as far as `DEPTH` pixels make them, before bias and ReLU.

    Where it is begun `early`, the kernel before may still run; the images are asked for and then its end is waited for.
    """
    if early:
        tl.extra.cuda.gdc_launch_dependents()
    rows, units = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, HIDDEN_ROW)
    at = tl.program_id(1) * DEPTH + tl.arange(0, DEPTH)
    x = part_of(pixels, chosen, count, rows, at)
    mask = (units < HIDDEN)[None, :] & (at < PIXELS)[:, None]
    if early:
        tl.extra.cuda.gdc_wait()
    w1 = tl.load(flat + units[None, :] * PIXELS + at[:, None], mask=mask, other=0.0)
    to = (tl.program_id(1) * BATCH + rows[:, None]) * HIDDEN_ROW + units[None, :]
    tl.store(sums_to + to, tl.dot(x, w1, input_precision=IEEE))
    if tl.program_id(0) + tl.program_id(1) == 0:
        # Every program of the next kernel reads the small parameters, and one of them changes them.
        small = tl.arange(0, SMALL_ROW)
        tl.store(small_to + small, tl.load(flat + B1 + small, mask=small < SMALL), mask=small < SMALL)
        tl.store(steps, tl.load(steps) + 1)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def learn(  # type: ignore[no-untyped-def]
    pixels, labels, chosen, count, flat, first, second, steps, total, sums, small, early: tl.constexpr
):
    """Gradient and update of the first matrix's columns of `COLUMNS` pixels; the last program has all the rest."""
    if early:
        tl.extra.cuda.gdc_launch_dependents()
    rows, units, classes = tl.arange(0, BATCH), tl.arange(0, HIDDEN_ROW), tl.arange(0, CLASSES_ROW)
    is_image, is_unit, is_class = rows < count, units < HIDDEN, classes < CLASSES
    at = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    x = part_of(pixels, chosen, count, rows, at)  # asked for here, since it takes as long as the rest until it is used
    if early:
        tl.extra.cuda.gdc_wait()
    hidden = tl.zeros((BATCH, HIDDEN_ROW), tl.float32) + tl.load(small + units, mask=is_unit, other=0.0)[None, :]
    for part in tl.static_range(PARTS):
        hidden += tl.load(sums + (part * BATCH + rows[:, None]) * HIDDEN_ROW + units[None, :])
    hidden = tl.maximum(hidden, 0.0)
    w2_at, w2_mask = classes[None, :] * HIDDEN + units[:, None], is_unit[:, None] & is_class[None, :]
    w2 = tl.load(small + (W2 - B1) + w2_at, mask=w2_mask, other=0.0)
    scores = tl.dot(hidden, w2, input_precision=IEEE)
    scores += tl.load(small + (B2 - B1) + classes, mask=is_class, other=float("-inf"))[None, :]
    most = tl.max(scores, 1)
    powers = tl.exp(scores - most[:, None])
    label = tl.load(labels + tl.load(chosen + rows, mask=is_image, other=0), mask=is_image, other=0)
    is_label = classes[None, :] == label[:, None]
    losses = tl.log(tl.sum(powers, 1)) + most - tl.sum(tl.where(is_label, scores, 0.0), 1)
    errors = powers / tl.sum(powers, 1)[:, None] - tl.where(is_label, 1.0, 0.0)
    scores = tl.where(is_image[:, None], errors / count, 0.0)
    back = tl.where(hidden > 0, tl.dot(scores, tl.trans(w2), input_precision=IEEE), 0.0)

    step = tl.load(steps).to(tl.float64)  # in float32, 1 - 0.999 would have four digits
    size = (1.0 / (1.0 - tl.exp(step * LOG_BETA1)) * RATE).to(tl.float32)
    scale = tl.sqrt(1.0 - tl.exp(step * LOG_BETA2)).to(tl.float32)
    if tl.program_id(0) * COLUMNS < PIXELS:
        gradient = tl.dot(tl.trans(back), x, input_precision=IEEE)
        mask = is_unit[:, None] & (at < PIXELS)[None, :]
        adam(flat, first, second, units[:, None] * PIXELS + at[None, :], gradient, mask, size, scale)
    else:
        gradient = tl.dot(tl.trans(hidden), scores, input_precision=IEEE)
        adam(flat, first, second, B1 + units, tl.sum(back, 0), is_unit, size, scale)
        adam(flat, first, second, W2 + w2_at, gradient, w2_mask, size, scale)
        adam(flat, first, second, B2 + classes, tl.sum(scores, 0), is_class, size, scale)
        tl.store(total, tl.load(total) + tl.sum(tl.where(is_image, losses, 0.0), 0) / count)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def part_of(pixels, chosen, count, rows, at):  # type: ignore[no-untyped-def]
    """The pixels `at` of the batch's images `rows`, zeros beyond the last of either."""
    image = tl.load(chosen + rows, mask=rows < count, other=0)
    mask = (rows < count)[:, None] & (at < PIXELS)[None, :]
    return tl.load(pixels + image[:, None] * PIXELS + at[None, :], mask=mask, other=0.0)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def adam(flat, first, second, at, gradient, mask, size, scale):  # type: ignore[no-untyped-def]
    """Kingma and Ba, Adam, 2015, in the order of operations of torch.optim.Adam, of the parameters at `at`."""
    m, v = tl.load(first + at, mask=mask, other=0.0), tl.load(second + at, mask=mask, other=0.0)
    m += (gradient - m) * ONE_LESS_BETA1
    v += (gradient * gradient - v) * ONE_LESS_BETA2
    weight = tl.load(flat + at, mask=mask, other=0.0) - size * m / (tl.sqrt(v) / scale + ADAM_EPSILON)
    tl.store(first + at, m, mask=mask)
    tl.store(second + at, v, mask=mask)
    tl.store(flat + at, weight, mask=mask)


def steps_in_two_kernels(images: Images, seed: int, device: torch.device, *, early: bool = False) -> Steps:
    """A fresh training whose step is a launch of the one kernel and then of the other.

    Args:
        images: What to learn from.
        seed: Of the first weights and of the order.
        device: A CUDA GPU.
        early: By programmatic dependent launch: a kernel begins before the one before it has ended.
    """
    pixels, labels = flat_images(images, device)
    flat, weights = flattened([weight.to(device) for weight in parameters(seed)])
    first, second, steps = torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros((), device=device)
    sums = torch.empty(PARTS.value, BATCH_SIZE, HIDDEN_ROW.value, device=device)
    small, total = torch.empty(SMALL.value, device=device), torch.zeros((), device=device)
    programs = BATCH_SIZE // ROWS.value, PARTS.value
    columns, options = triton.cdiv(PIXELS.value, COLUMNS.value), {"num_warps": WARPS, "launch_pdl": early}

    def step(chosen: Tensor) -> None:
        count = len(chosen)
        begin[programs](pixels, chosen, count, flat, steps, sums, small, early, **options)
        state = flat, first, second, steps, total
        learn[columns + 1,](pixels, labels, chosen, count, *state, sums, small, early, **options)

    generator = torch.Generator(device).manual_seed(seed)
    return Steps(step, len(labels), generator, (flat, first, second, steps, total), weights, total)
