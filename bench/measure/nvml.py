"""NVIDIA's management library, asked about the very GPU that torch computes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Answer = TypeVar("Answer")


class NvmlError(Exception):
    """NVML cannot tell. The message says why, for people."""


def ask(question: Callable[[Any, Any], Answer]) -> Answer:
    """What `question` returns, given the module `pynvml` and the handle of torch's first GPU.

    Raises:
        NvmlError: NVML is missing, too old for the question, or refuses to answer; or torch sees no GPU.
    """
    try:
        import pynvml
    except ImportError as error:
        raise NvmlError(f"NVML is not installed: {error}") from error
    try:
        pynvml.nvmlInit()
        # Not by number: NVML counts all GPUs of the machine, torch those of CUDA_VISIBLE_DEVICES, in another order.
        uuid = torch.cuda.get_device_properties(0).uuid
        return question(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
    except (pynvml.NVMLError, AttributeError, RuntimeError, AssertionError) as error:
        raise NvmlError(str(error)) from error
