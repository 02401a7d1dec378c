"""NVIDIA's management library, asked about the very GPU that torch computes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class NvmlError(Exception):
    """NVML cannot tell. The message says why, for people."""


def ask(question: Callable[[Any, Any], Answer], uuid: str | None = None) -> Answer:
    """What `question` returns, given the module `pynvml` and the handle of torch's first GPU.

    Args:
        question: Is given both.
        uuid: The GPU's, as torch has it, where the process that asks is not to import torch.

    Raises:
        NvmlError: NVML is missing, too old for the question, or refuses to answer; or torch sees no GPU.
    """
    try:
        import pynvml
    except ImportError as error:
        raise NvmlError(f"NVML is not installed: {error}") from error
    mig = ""
    try:
        pynvml.nvmlInit()
        # Not by number: NVML counts all GPUs of the machine, torch those of CUDA_VISIBLE_DEVICES, in another order.
        uuid = uuid or gpu_uuid()
        try:
            gpu = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except pynvml.NVMLError:
            gpu = pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
            mig = "; this is a MIG instance, a part of a GPU, of which NVML tells less"
        return question(pynvml, gpu)
    except (pynvml.NVMLError, AttributeError, RuntimeError, AssertionError) as error:
        raise NvmlError(f"{error}{mig}") from error


def gpu_uuid() -> str:
    """That of torch's first GPU; raises RuntimeError or AssertionError where it sees none."""
    import torch

    return str(torch.cuda.get_device_properties(0).uuid)
