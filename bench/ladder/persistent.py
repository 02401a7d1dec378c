"""The ladder steps whose epoch is one kernel, whose blocks wait for each other: in CUDA C++, and in Triton.

The first asks for no CUDA toolkit (`bench.measure.nvrtc`). Sums are added up by atomic operations in whatever order
blocks come, so that the last bits of the weights differ from run to run.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.axes.compilers import COMPILERS
from bench.ladder.program import (
    BATCH_SIZE,
    BETAS,
    EPSILON,
    LEARNING_RATE,
    FreshTraining,
    flat_images,
    order,
    parameters,
    steps_of,
)
from bench.ladder.steps import flattened
from bench.measure import nvrtc
from fcnn.data import Images
from fcnn.hyperparameters import REFERENCE

SOURCE = Path(__file__).with_name("persistent.cu")
THREADS = 512
BLOCKS = REFERENCE.input_size // 16  # of 16 pixels each
SHARED_BYTES = 54_000
SUMS = 3 * BATCH_SIZE * 64  # room for those of three steps, each row of 50 hidden units padded to 64 at most
MOST_POLLS = 3_000_000  # at a barrier; each takes about a microsecond
OPTIONS = (
    f"-DRATE={LEARNING_RATE!r}",
    f"-DBETA1={BETAS[0]!r}",
    f"-DBETA2={BETAS[1]!r}",
    f"-DEPSILON={EPSILON!r}",
    f"-DSHARED_BYTES={SHARED_BYTES}",
    # Of the hardware's own square root and division the last bit or two may be wrong.
    "--prec-sqrt=false",
    "--prec-div=false",
)


def why_not() -> str | None:
    """Why there is no persistent kernel in CUDA C++ here."""
    return nvrtc.why_not() or _gpu_why_not()


def triton_why_not() -> str | None:
    """Why there is no persistent kernel in Triton here."""
    return COMPILERS["default"].why_not("cuda") or _gpu_why_not()


def _gpu_why_not() -> str | None:
    gpu = torch.cuda.get_device_properties()
    if gpu.major < 8:
        return f"its barrier needs compute capability 8.0, this GPU has {gpu.major}.{gpu.minor}"
    if gpu.multi_processor_count < BLOCKS:
        return f"its {BLOCKS} blocks need a multiprocessor each, this GPU has {gpu.multi_processor_count}"
    return None


@functools.cache
def _kernel(index: int) -> nvrtc.Function:
    """The kernel on the GPU of this number, compiled once for all seeds of a process."""
    with torch.cuda.device(index):
        return nvrtc.compile(SOURCE.read_text("utf-8"), "train_epoch", None, OPTIONS, SHARED_BYTES)


class Resident:
    """A training that lies on the GPU between its kernels.

    Attributes:
        pixels: [images, 784] in 0..1; `labels` [images].
        seed: Of the first weights.
        flat: All parameters in one tensor.
        first: Their first moments; `second` their second ones.
        weights: Views of `flat`, as `Program` has them.
        steps: That were made so far.
        sums: Room for what blocks add up; zeros when a kernel begins, as are the next two.
        arrived: [1], int32: blocks that have come to the barrier, all steps together.
        report: [2]: the sum of the losses, and the step, from 1, at whose barrier a block has waited in vain.
    """

    def __init__(self, images: Images, seed: int, device: torch.device) -> None:
        self.pixels, self.labels = flat_images(images, device)
        self.flat, self.weights = flattened([weight.to(device) for weight in parameters(seed)])
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.seed, self.steps = seed, 0
        self._work = torch.zeros(SUMS + 4, device=device)
        self.sums, self.arrived = self._work[:SUMS], self._work[SUMS : SUMS + 1].view(torch.int32)
        self.report = self._work[SUMS + 2 :]

    def learn(self, chosen: Tensor, launch: Launch) -> float:
        """Learns from the images of these numbers, a batch after the other, and returns the batches' mean loss.

        Args:
            chosen: [count], int64, on the GPU.
            launch: Queues the kernel.

        Raises:
            BenchError: It could not be launched; the parameters are as they were.
            RuntimeError: A barrier was given up. The parameters are as they were, but not always where it was that of
                the last step: a block that has arrived may give up while others see all arrive and write theirs.
        """
        steps = steps_of(len(chosen))
        with torch.cuda.device(self.flat.device) if self.flat.is_cuda else contextlib.nullcontext():
            self._work.zero_()
            launch(self, chosen)
            total, failed = self.report.tolist()
        if failed:
            raise RuntimeError(f"the kernel's blocks did not meet in step {failed:.0f} of {steps}: do all run at once?")
        self.steps += steps
        return float(total) / steps


Launch = Callable[[Resident, Tensor], object]


def queue(training: Resident, chosen: Tensor, *, blocks: int = BLOCKS, most_polls: int = MOST_POLLS) -> None:
    """Queues the kernel on torch's current stream.

    Args:
        training: What learns.
        chosen: Numbers of images [count], int64, on the GPU.
        blocks: That a barrier waits for.
        most_polls: Looks at a barrier, after which it is given up.

    Raises:
        BenchError: It could not be compiled or launched.
    """
    t = training
    arguments = (
        t.pixels, t.labels, chosen, ctypes.c_int(len(chosen)),
        t.flat, t.first, t.second, *(ctypes.c_double(beta**t.steps) for beta in BETAS),
        t.sums, t.arrived, t.report, ctypes.c_uint(blocks), ctypes.c_uint(most_polls),
    )  # fmt: skip
    nvrtc.launch_cooperative(_kernel(torch.cuda.current_device()), BLOCKS, THREADS, arguments)


def in_cuda(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """An epoch is one kernel: weights stay in registers, and blocks meet at a barrier in every step."""
    return _program(Resident(images, seed, device), queue)


def in_triton(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """An epoch is one kernel, of which Triton decides what lies in which register."""
    from bench.ladder import persistent_triton  # here, since Triton is not everywhere

    return _program(Resident(images, seed, device), persistent_triton.queue)


def _program(training: Resident, launch: Launch) -> FreshTraining:
    generator = torch.Generator(training.flat.device).manual_seed(training.seed)

    def epoch() -> float:
        return training.learn(order(len(training.labels), generator), launch)

    return FreshTraining(epoch, lambda: training.weights)
