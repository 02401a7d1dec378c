"""A training step in two kernels, in Triton, for the rung that no longer has a kernel an operator.

Up to the gradients of the hidden units, a step is a matter of single images: the programs of `forward_backward` take
some images each. The gradients of the weights are sums over images: the programs of `update` take some pixels each, sum
over the whole batch, and hand the sums from registers to Adam, so that no weight's gradient is ever written to memory.

Matrices are padded to what a matrix product of Triton takes: 50 hidden units to 64, 10 classes to 16.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from bench.ladder.program import BATCH_SIZE, BETAS, EPSILON, LEARNING_RATE, Steps, flat_images, parameters
from bench.ladder.rungs import flattened
from fcnn.data import Images
from fcnn.hyperparameters import REFERENCE

PIXELS = tl.constexpr(REFERENCE.input_size)
HIDDEN, HIDDEN_ROW = tl.constexpr(REFERENCE.hidden_size), tl.constexpr(64)
CLASSES, CLASSES_ROW = tl.constexpr(REFERENCE.num_classes), tl.constexpr(16)
# Where the parameters lie in their one tensor; the first matrix [50, 784] begins it.
B1 = tl.constexpr(HIDDEN.value * PIXELS.value)
W2 = tl.constexpr(B1.value + HIDDEN.value)
B2 = tl.constexpr(W2.value + CLASSES.value * HIDDEN.value)
BATCH = tl.constexpr(BATCH_SIZE)
RATE, ONE_LESS_BETA1, ONE_LESS_BETA2, ADAM_EPSILON = map(
    tl.constexpr, (LEARNING_RATE, 1 - BETAS[0], 1 - BETAS[1], EPSILON)
)
LOG_BETA1, LOG_BETA2 = (tl.constexpr(math.log(beta)) for beta in BETAS)
ROWS = tl.constexpr(16)  # images a program of the first kernel, as few as a product takes
DEPTH = tl.constexpr(64)  # pixels a turn of its loop
COLUMNS = tl.constexpr(16)  # pixels a program of the second kernel
IEEE = tl.constexpr("ieee")  # float32 products as the reference has them, without tensor cores


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def forward_backward(pixels, labels, chosen, count, flat, steps, hidden_to, scores_to, back_to):  # type: ignore[no-untyped-def]
    """Hidden units, gradients of the scores and of the hidden units, of `ROWS` images of the batch."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    units, classes = tl.arange(0, HIDDEN_ROW), tl.arange(0, CLASSES_ROW)
    is_image, is_unit, is_class = rows < count, units < HIDDEN, classes < CLASSES
    image = tl.load(chosen + rows, mask=is_image, other=0)
    sums = tl.zeros((ROWS, HIDDEN_ROW), tl.float32)
    for begin in range(0, PIXELS, DEPTH):
        at = begin + tl.arange(0, DEPTH)
        is_pixel = at < PIXELS
        x = tl.load(
            pixels + image[:, None] * PIXELS + at[None, :], mask=is_image[:, None] & is_pixel[None, :], other=0.0
        )
        w1 = tl.load(flat + units[None, :] * PIXELS + at[:, None], mask=is_unit[None, :] & is_pixel[:, None], other=0.0)
        sums = tl.dot(x, w1, sums, input_precision=IEEE)
    hidden = tl.maximum(sums + tl.load(flat + B1 + units, mask=is_unit, other=0.0)[None, :], 0.0)
    w2_mask = is_unit[:, None] & is_class[None, :]
    w2 = tl.load(flat + W2 + classes[None, :] * HIDDEN + units[:, None], mask=w2_mask, other=0.0)
    scores = tl.dot(hidden, w2, input_precision=IEEE)
    scores += tl.load(flat + B2 + classes, mask=is_class, other=float("-inf"))[None, :]
    powers = tl.exp(scores - tl.max(scores, 1)[:, None])
    label = tl.load(labels + image, mask=is_image, other=0)
    one_hot = tl.where(classes[None, :] == label[:, None], 1.0, 0.0)
    gradients = tl.where(is_image[:, None], (powers / tl.sum(powers, 1)[:, None] - one_hot) / count, 0.0)
    back = tl.where(hidden > 0, tl.dot(gradients, tl.trans(w2), input_precision=IEEE), 0.0)
    tl.store(hidden_to + rows[:, None] * HIDDEN_ROW + units[None, :], hidden)
    tl.store(scores_to + rows[:, None] * CLASSES_ROW + classes[None, :], gradients)
    tl.store(back_to + rows[:, None] * HIDDEN_ROW + units[None, :], back)
    if tl.program_id(0) == 0:
        tl.store(steps, tl.load(steps) + 1)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def update(pixels, chosen, count, flat, first, second, steps, hidden_from, scores_from, back_from):  # type: ignore[no-untyped-def]
    """Gradient and update of the first matrix's columns of `COLUMNS` pixels; the last program has all the rest."""
    rows, units, classes = tl.arange(0, BATCH), tl.arange(0, HIDDEN_ROW), tl.arange(0, CLASSES_ROW)
    is_unit, is_class = units < HIDDEN, classes < CLASSES
    step = tl.load(steps).to(tl.float64)  # in float32, 1 - 0.999 would have four digits
    size = (1.0 / (1.0 - tl.exp(step * LOG_BETA1)) * RATE).to(tl.float32)
    scale = tl.sqrt(1.0 - tl.exp(step * LOG_BETA2)).to(tl.float32)
    back = tl.load(back_from + rows[None, :] * HIDDEN_ROW + units[:, None])
    begin = tl.program_id(0) * COLUMNS
    if begin < PIXELS:
        at = begin + tl.arange(0, COLUMNS)
        is_image, is_pixel = rows < count, at < PIXELS
        image = tl.load(chosen + rows, mask=is_image, other=0)
        x = tl.load(
            pixels + image[:, None] * PIXELS + at[None, :], mask=is_image[:, None] & is_pixel[None, :], other=0.0
        )
        gradient = tl.dot(back, x, input_precision=IEEE)
        adam(flat, first, second, units[:, None] * PIXELS + at[None, :], gradient,
             is_unit[:, None] & is_pixel[None, :], size, scale)  # fmt: skip
    else:
        adam(flat, first, second, B1 + units, tl.sum(back, 1), is_unit, size, scale)
        hidden = tl.load(hidden_from + rows[:, None] * HIDDEN_ROW + units[None, :])
        scores = tl.load(scores_from + rows[None, :] * CLASSES_ROW + classes[:, None])
        outer = tl.dot(scores, hidden, input_precision=IEEE)
        adam(flat, first, second, W2 + classes[:, None] * HIDDEN + units[None, :], outer,
             is_class[:, None] & is_unit[None, :], size, scale)  # fmt: skip
        adam(flat, first, second, B2 + classes, tl.sum(scores, 1), is_class, size, scale)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def part_of(pixels, image, is_image, at):  # type: ignore[no-untyped-def]
    """The pixels `at` of the images [images, pixels], zeros beyond the last of either."""
    places = pixels + image[:, None] * PIXELS + at[None, :]
    return tl.load(places, mask=is_image[:, None] & (at < PIXELS)[None, :], other=0.0)


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


def steps_in_two_kernels(images: Images, seed: int, device: torch.device) -> Steps:
    """A fresh training whose step is a launch of the one kernel and then of the other."""
    pixels, labels = flat_images(images, device)
    flat, weights = flattened([weight.to(device) for weight in parameters(seed)])
    first, second, steps = torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros((), device=device)
    hidden, scores, back = (
        torch.zeros(BATCH_SIZE, width.value, device=device) for width in (HIDDEN_ROW, CLASSES_ROW, HIDDEN_ROW)
    )

    def step(chosen: Tensor) -> None:
        count = len(chosen)
        forward_backward[BATCH_SIZE // ROWS.value,](pixels, labels, chosen, count, flat, steps, hidden, scores, back)
        update[triton.cdiv(PIXELS.value, COLUMNS.value) + 1,](
            pixels, chosen, count, flat, first, second, steps, hidden, scores, back
        )

    generator = torch.Generator(device).manual_seed(seed)
    return Steps(step, len(labels), generator, (flat, first, second, steps), weights)
