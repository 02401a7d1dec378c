"""The persistent kernel of `persistent.cu` in Triton, which decides by itself what lies in which register.

Each program has the first layer's weights of some pixels and all other parameters, with Adam's moments, for the whole
epoch. The barrier is that of Inductor's cooperative reductions (`x_grid_barrier` in
`torch/_inductor/runtime/triton_helpers.py`), but it counts on, and gives up.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from bench.ladder.kernels import (
    ADAM_EPSILON,
    B1,
    B2,
    BATCH,
    CLASSES,
    CLASSES_ROW,
    HIDDEN,
    HIDDEN_ROW,
    IEEE,
    LOG_BETA1,
    LOG_BETA2,
    ONE_LESS_BETA1,
    ONE_LESS_BETA2,
    PIXELS,
    RATE,
    W2,
    part_of,
)
from bench.ladder.persistent import MOST_POLLS, Resident

COLUMNS = 16  # pixels per program
WARPS = 8
SUMS_OF_STEP = tl.constexpr(BATCH.value * HIDDEN_ROW.value)


# One code for all values: another would be compiled for those that are 1 or a multiple of 16.
@triton.jit(do_not_specialize=("count", "steps_before", "programs", "most_polls"))  # type: ignore[untyped-decorator, unused-ignore]
def learn_epoch(  # type: ignore[no-untyped-def]
    pixels, labels, order, count, flat, first, second, steps_before, sums, arrived, report, programs, most_polls,
    COLUMNS: tl.constexpr, CLEARED: tl.constexpr,
):  # fmt: skip
    """All steps of an epoch; `CLEARED` sums per program are made zeros for the step after the next."""
    rows, units, classes = tl.arange(0, BATCH), tl.arange(0, HIDDEN_ROW), tl.arange(0, CLASSES_ROW)
    is_unit, is_class = units < HIDDEN, classes < CLASSES
    at = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    w1_at, w1_mask = units[:, None] * PIXELS + at[None, :], is_unit[:, None] & (at < PIXELS)[None, :]
    w2_at, w2_mask = W2 + classes[None, :] * HIDDEN + units[:, None], is_unit[:, None] & is_class[None, :]
    w1, m1, v1 = state_of(flat, first, second, w1_at, w1_mask)
    b1, mb1, vb1 = state_of(flat, first, second, B1 + units, is_unit)
    w2, m2, v2 = state_of(flat, first, second, w2_at, w2_mask)
    b2, mb2, vb2 = state_of(flat, first, second, B2 + classes, is_class)
    sums_at = rows[:, None] * HIDDEN_ROW + units[None, :]
    cleared = tl.program_id(0) * CLEARED + tl.arange(0, CLEARED)
    total, step, failed = 0.0, 0, 0
    while (step * BATCH < count) & (failed == 0):
        batch = tl.minimum(count - step * BATCH, BATCH)
        chosen, is_image = order + step * BATCH, rows < batch
        x = part_of(pixels, chosen, batch, rows, at)
        label = tl.load(labels + tl.load(chosen + rows, mask=is_image, other=0), mask=is_image, other=0)
        step_sums = sums + step % 3 * SUMS_OF_STEP
        tl.atomic_add(step_sums + sums_at, tl.dot(x, tl.trans(w1), input_precision=IEEE), sem="relaxed")
        failed = barrier(arrived, (step + 1) * programs, most_polls)
        if failed == 0:
            # Those of the step before, which all programs have read, are those of the step after the next.
            tl.store(sums + (step + 2) % 3 * SUMS_OF_STEP + cleared, 0.0, mask=cleared < SUMS_OF_STEP)
            hidden = tl.maximum(tl.load(step_sums + sums_at, cache_modifier=".cg") + b1[None, :], 0.0)
            scores = tl.dot(hidden, w2, input_precision=IEEE)
            scores += tl.where(is_class, b2, float("-inf"))[None, :]
            most = tl.max(scores, 1)
            powers = tl.exp(scores - most[:, None])
            is_label = classes[None, :] == label[:, None]
            losses = tl.log(tl.sum(powers, 1)) + most - tl.sum(tl.where(is_label, scores, 0.0), 1)
            total += tl.sum(tl.where(is_image, losses, 0.0), 0) / batch
            errors = powers / tl.sum(powers, 1)[:, None] - tl.where(is_label, 1.0, 0.0)
            errors = tl.where(is_image[:, None], errors / batch, 0.0)
            back = tl.where(hidden > 0, tl.dot(errors, tl.trans(w2), input_precision=IEEE), 0.0)

            made = (steps_before + step + 1).to(tl.float64)  # in float32, 1 - 0.999 would have four digits
            size = (1.0 / (1.0 - tl.exp(made * LOG_BETA1)) * RATE).to(tl.float32)
            scale = tl.sqrt(1.0 - tl.exp(made * LOG_BETA2)).to(tl.float32)
            g1 = tl.dot(tl.trans(back), x, input_precision=IEEE)
            g2 = tl.dot(tl.trans(hidden), errors, input_precision=IEEE)
            w1, m1, v1 = adam_of(w1, m1, v1, g1, size, scale)
            b1, mb1, vb1 = adam_of(b1, mb1, vb1, tl.sum(back, 0), size, scale)
            w2, m2, v2 = adam_of(w2, m2, v2, g2, size, scale)
            b2, mb2, vb2 = adam_of(b2, mb2, vb2, tl.sum(errors, 0), size, scale)
            step += 1
    if failed != 0:
        tl.store(report + 1, step + 1.0)
    else:
        store_state(flat, first, second, w1_at, w1_mask, w1, m1, v1)
        if tl.program_id(0) == 0:
            store_state(flat, first, second, B1 + units, is_unit, b1, mb1, vb1)
            store_state(flat, first, second, w2_at, w2_mask, w2, m2, v2)
            store_state(flat, first, second, B2 + classes, is_class, b2, mb2, vb2)
            tl.store(report, total)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def barrier(arrived, wanted, most_polls):  # type: ignore[no-untyped-def]
    """0 once so many have arrived, and what they have written is seen; 1 if they have not after `most_polls`."""
    tl.debug_barrier()
    tl.atomic_add(arrived, 1, sem="release")
    polls = 0
    seen = tl.atomic_add(arrived, 0, sem="acquire")
    while (seen < wanted) & (polls < most_polls):
        seen = tl.atomic_add(arrived, 0, sem="acquire")
        polls += 1
    tl.debug_barrier()
    return (seen < wanted).to(tl.int32)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def state_of(flat, first, second, at, mask):  # type: ignore[no-untyped-def]
    """The parameters at `at` and their moments."""
    weight = tl.load(flat + at, mask=mask, other=0.0)
    return weight, tl.load(first + at, mask=mask, other=0.0), tl.load(second + at, mask=mask, other=0.0)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def store_state(flat, first, second, at, mask, weight, m, v):  # type: ignore[no-untyped-def]
    """What `state_of` loads."""
    tl.store(flat + at, weight, mask=mask)
    tl.store(first + at, m, mask=mask)
    tl.store(second + at, v, mask=mask)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def adam_of(weight, m, v, gradient, size, scale):  # type: ignore[no-untyped-def]
    """Kingma and Ba, Adam, 2015, in the order of operations of torch.optim.Adam."""
    m += (gradient - m) * ONE_LESS_BETA1
    v += (gradient * gradient - v) * ONE_LESS_BETA2
    return weight - size * m / (tl.sqrt(v) / scale + ADAM_EPSILON), m, v


def queue(training: Resident, chosen: Tensor, *, columns: int = COLUMNS, most_polls: int = MOST_POLLS) -> None:
    """As `persistent.queue`, with so many pixels per program.

    Where Triton interprets, programs run one after the other: there must be only one.
    """
    t, programs = training, triton.cdiv(PIXELS.value, columns)
    learn_epoch[programs,](
        t.pixels, t.labels, chosen, len(chosen), t.flat, t.first, t.second, t.steps, t.sums, t.arrived, t.report,
        programs, most_polls, COLUMNS=columns,
        CLEARED=triton.next_power_of_2(triton.cdiv(SUMS_OF_STEP.value, programs)), num_warps=WARPS,
        launch_cooperative_grid=True,
    )  # fmt: skip
