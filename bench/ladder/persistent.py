"""The rung whose epoch is one kernel, in CUDA C++, whose blocks wait for each other in every step.

NVRTC compiles it and the driver launches it, by NVIDIA's `cuda.bindings`, which torch's wheels for Linux bring: no CUDA
toolkit is needed. Sums are added up by atomic operations in whatever order blocks come, so that the last bits of the
weights differ from run to run.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
SUMS = 3 * BATCH_SIZE * 56  # of three steps, rows of 50 hidden units padded to 56
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
    """Why there is no persistent kernel here."""
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        return "cuda.bindings is not installed: pip install cuda-bindings"
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
        flat: All parameters in one tensor.
        first: Their first moments; `second` their second ones.
        weights: Views of `flat`, as `Program` has them.
        steps: That were made so far.
    """

    def __init__(self, images: Images, seed: int, device: torch.device) -> None:
        self.pixels, self.labels = flat_images(images, device)
        self.flat, self.weights = flattened([weight.to(device) for weight in parameters(seed)])
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.steps = 0
        # Sums, the barrier's count and a report of two numbers: what is zeros when a kernel begins.
        self._work = torch.zeros(SUMS + 4, device=device)

    def learn(self, chosen: Tensor, *, blocks: int = BLOCKS, most_polls: int = MOST_POLLS) -> float:
        """Learns from the images of these numbers, a batch after the other, and returns the batches' mean loss.

        Args:
            chosen: [count], int64, on the GPU.
            blocks: That a barrier waits for.
            most_polls: Looks at a barrier, after which it is given up.

        Raises:
            RuntimeError: It could not be launched, or a barrier was given up; the parameters are as they were.
        """
        from cuda.bindings import driver

        device = self.flat.device
        steps = steps_of(len(chosen))
        with torch.cuda.device(device):
            kernel = _kernel(torch.cuda.current_device())
            self._work.zero_()
            sums = self._work.data_ptr()
            values = (
                *map(_address, (self.pixels, self.labels, chosen)), ctypes.c_int(len(chosen)),
                *map(_address, (self.flat, self.first, self.second)),
                *(ctypes.c_double(beta**self.steps) for beta in BETAS),
                ctypes.c_void_p(sums), ctypes.c_void_p(sums + 4 * SUMS), ctypes.c_void_p(sums + 4 * (SUMS + 2)),
                ctypes.c_uint(blocks), ctypes.c_uint(most_polls),
            )  # fmt: skip
            addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
            stream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
            _answer(
                driver.cuLaunchCooperativeKernel(
                    kernel, BLOCKS, 1, 1, THREADS, 1, 1, SHARED_BYTES, stream, ctypes.addressof(addresses)
                )
            )
            total, failed = self._work[-2:].tolist()
        if failed:
            raise RuntimeError(f"the kernel's blocks did not meet in step {failed:.0f} of {steps}: do all run at once?")
        self.steps += steps
        return float(total) / steps


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def one_kernel(images: Images, seed: int, device: torch.device) -> Program:
    """An epoch is one kernel: weights stay in registers, and blocks meet at a barrier in every step."""
    training = Resident(images, seed, device)
    generator = torch.Generator(device).manual_seed(seed)
    return Program(lambda: training.learn(order(len(training.labels), generator)), lambda: training.weights)
