"""The rungs whose epoch is one kernel, whose blocks wait for each other in every step: in CUDA C++, and in Triton.

NVRTC compiles the first and the driver launches it, by NVIDIA's `cuda.bindings`, which torch's wheels for Linux bring:
no CUDA toolkit is needed. Sums are added up by atomic operations in whatever order blocks come, so that the last bits
of the weights differ from run to run.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.axes.compilers import COMPILERS
from bench.errors import reason_in
from bench.ladder.program import (
    BATCH_SIZE,
    BETAS,
    EPSILON,
    LEARNING_RATE,
    Program,
    flat_images,
    order,
    parameters,
    steps_of,
)
from bench.ladder.rungs import flattened
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
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        return "cuda.bindings is not installed: pip install cuda-bindings"
    return _gpu_why_not()


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


def compiled(architecture: str, *options: str) -> tuple[bytes, str]:
    """Machine code for an architecture such as `sm_90`, and what the compiler has said.

    Args:
        architecture: That of the GPU.
        options: More of NVRTC's.

    Raises:
        RuntimeError: The compiler's own error.
    """
    from cuda.bindings import nvrtc

    (program,) = _answer(nvrtc.nvrtcCreateProgram(SOURCE.read_bytes(), SOURCE.name.encode(), 0, [], []))
    words = [word.encode() for word in (f"--gpu-architecture={architecture}", *OPTIONS, *options)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(words), words)
    said = b" " * _answer(nvrtc.nvrtcGetProgramLogSize(program))[0]
    _answer(nvrtc.nvrtcGetProgramLog(program, said))
    log = said.decode("utf-8", "replace").strip(" \0\n")
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC failed for {architecture}: {reason_in(log) or status.name}")
    code = b" " * _answer(nvrtc.nvrtcGetCUBINSize(program))[0]
    _answer(nvrtc.nvrtcGetCUBIN(program, code))
    _answer(nvrtc.nvrtcDestroyProgram(program))
    return code, log


def _answer(returned: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call of `cuda.bindings` returns beside its status.

    Raises:
        RuntimeError: The status is an error's.
    """
    status, *values = returned
    if status.value != 0:
        raise RuntimeError(f"{type(status).__name__}: {status.name}")
    return tuple(values)


@functools.cache
def _kernel(index: int) -> Any:
    """The kernel on the GPU of this number, loaded once for all seeds of a process."""
    from cuda.bindings import driver

    major, minor = torch.cuda.get_device_capability(index)
    code, _ = compiled(f"sm_{major}{minor}")
    image = ctypes.create_string_buffer(code, len(code))
    (module,) = _answer(driver.cuModuleLoadData(ctypes.addressof(image)))
    (kernel,) = _answer(driver.cuModuleGetFunction(module, b"train_epoch"))
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    _answer(driver.cuFuncSetAttribute(kernel, attribute, SHARED_BYTES))
    return kernel


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
            RuntimeError: It could not be launched, or a barrier was given up; the parameters are as they were.
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
        RuntimeError: It could not be compiled or launched.
    """
    from cuda.bindings import driver

    t = training
    values = (
        *map(_address, (t.pixels, t.labels, chosen)), ctypes.c_int(len(chosen)),
        *map(_address, (t.flat, t.first, t.second)), *(ctypes.c_double(beta**t.steps) for beta in BETAS),
        *map(_address, (t.sums, t.arrived, t.report)), ctypes.c_uint(blocks), ctypes.c_uint(most_polls),
    )  # fmt: skip
    addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
    stream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
    sizes = (BLOCKS, 1, 1, THREADS, 1, 1, SHARED_BYTES)
    kernel = _kernel(torch.cuda.current_device())
    _answer(driver.cuLaunchCooperativeKernel(kernel, *sizes, stream, ctypes.addressof(addresses)))


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def in_cuda(images: Images, seed: int, device: torch.device) -> Program:
    """An epoch is one kernel: weights stay in registers, and blocks meet at a barrier in every step."""
    return _program(Resident(images, seed, device), queue)


def in_triton(images: Images, seed: int, device: torch.device) -> Program:
    """An epoch is one kernel, of which Triton decides what lies in which register."""
    from bench.ladder import persistent_triton  # here, since Triton is not everywhere

    return _program(Resident(images, seed, device), persistent_triton.queue)


def _program(training: Resident, launch: Launch) -> Program:
    generator = torch.Generator(training.flat.device).manual_seed(training.seed)

    def epoch() -> float:
        return training.learn(order(len(training.labels), generator), launch)

    return Program(epoch, lambda: training.weights)
