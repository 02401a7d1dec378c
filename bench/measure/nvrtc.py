"""Kernels in CUDA C++ without a toolkit: NVRTC compiles them, the driver launches them, both through `cuda.bindings`.

For kernels whose blocks wait for each other. No operator of torch launches those: a cooperative launch is refused where
not all blocks fit on the GPU at once, an ordinary one would then wait for ever. `cuda.bindings` comes with torch's
builds for CUDA on Linux; both its editions, 12 and 13, have what is used here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.errors import BenchError, reason_in, reason_of

FREE_SHARED_BYTES = 48 * 1024  # of a block; more has to be asked for


@dataclass(frozen=True)
class Binary:
    """Machine code for one architecture.

    Attributes:
        log: What the compilers said: warnings, and with the option `--ptxas-options=-v` registers and spills.
    """

    code: bytes
    log: str


@dataclass(frozen=True)
class Function:
    """A kernel on the GPU; `handle` is the driver's, `shared_bytes` its dynamic shared memory per block."""

    handle: Any
    name: str
    log: str
    shared_bytes: int


def why_not() -> str | None:
    """Why CUDA C++ cannot be compiled here; None if it can. Whether there is a GPU is another question."""
    try:
        from cuda.bindings import nvrtc

        _checked("nvrtcVersion", nvrtc.nvrtcVersion())
    except ImportError:
        return "cuda-bindings is not installed: pip install cuda-bindings"
    except Exception as error:  # a library that is not there raises what its loader has
        return f"NVRTC cannot be used: {reason_of(error)}"
    return None


def this_arch() -> str:
    """The architecture of torch's current GPU, such as `sm_90`."""
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


def binary(source: str, arch: str, options: Sequence[str] = ()) -> Binary:
    """The machine code of a source for an architecture such as `sm_90`; needs no GPU. Raises BenchError."""
    from cuda.bindings import nvrtc

    (program,) = _checked("nvrtcCreateProgram", nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, None, None))
    try:
        words = [word.encode() for word in (f"--gpu-architecture={arch}", *options)]
        (error,) = nvrtc.nvrtcCompileProgram(program, len(words), words)
        (size,) = _checked("nvrtcGetProgramLogSize", nvrtc.nvrtcGetProgramLogSize(program))
        log = bytearray(size)
        _checked("nvrtcGetProgramLog", nvrtc.nvrtcGetProgramLog(program, log))
        messages = bytes(log).rstrip(b"\0").decode("utf-8", "replace").strip()
        if int(error):
            failure = BenchError(f"NVRTC did not compile for {arch}: {reason_in(messages) or error.name}")
            failure.add_note(messages)
            raise failure
        (size,) = _checked("nvrtcGetCUBINSize", nvrtc.nvrtcGetCUBINSize(program))
        code = bytearray(size)
        _checked("nvrtcGetCUBIN", nvrtc.nvrtcGetCUBIN(program, code))
        return Binary(bytes(code), messages)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def compile(
    source: str, name: str, arch: str | None = None, options: Sequence[str] = (), shared_bytes: int = 0
) -> Function:
    """The kernel `name` of a source, on torch's current GPU and in the context that torch uses.

    Args:
        source: CUDA C++ in which the kernel is `extern "C" __global__`.
        name: The kernel's.
        arch: Such as `sm_90`; the GPU's own if none is given.
        options: NVRTC's, beside the architecture.
        shared_bytes: Dynamic shared memory per block.

    Raises:
        BenchError: It does not compile, or the driver does not take it.
    """
    from cuda.bindings import driver

    compiled = binary(source, arch or this_arch(), options)
    torch.cuda.synchronize()  # makes the context, and makes it this thread's
    (module,) = _checked("cuModuleLoadData", driver.cuModuleLoadData(compiled.code))  # it stays for the process's life
    (handle,) = _checked("cuModuleGetFunction", driver.cuModuleGetFunction(module, name.encode()))
    if shared_bytes > FREE_SHARED_BYTES:
        limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _checked("cuFuncSetAttribute", driver.cuFuncSetAttribute(handle, limit, shared_bytes))
    return Function(handle, name, compiled.log, shared_bytes)


def launch_cooperative(function: Function, grid: int, block: int, args: Sequence[Any]) -> None:
    """Queues the kernel on torch's current stream, so that all its blocks are on the GPU at once.

    Args:
        function: The kernel.
        grid: Blocks.
        block: Threads per block.
        args: Tensors, of which the kernel gets the addresses, and numbers as `ctypes` has them (`c_int`, `c_float`).

    Raises:
        BenchError: The driver refuses it; `CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE` is more blocks than fit.
    """
    from cuda.bindings import driver

    values = [ctypes.c_void_p(arg.data_ptr()) if isinstance(arg, torch.Tensor) else arg for arg in args]
    addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))  # read before the call returns
    queue = torch.cuda.current_stream().cuda_stream
    launched = driver.cuLaunchCooperativeKernel(
        function.handle, grid, 1, 1, block, 1, 1, function.shared_bytes, queue, ctypes.addressof(addresses)
    )
    _checked(f"{function.name}: cuLaunchCooperativeKernel", launched)


def _checked(called: str, answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a function of `cuda.bindings` returned beside its error code; raises BenchError if that is one."""
    error, *values = answer
    if int(error):
        raise BenchError(f"{called}: {error.name}")
    return tuple(values)
