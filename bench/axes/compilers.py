"""The compiler axis: how the model's Python is turned into kernels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass


def _compiler_why_not(device: str) -> str | None:
    if device == "cpu":
        compiler = os.environ.get("CXX", "g++")
        if not any(map(shutil.which, (compiler, "clang++", "cl"))):
            return f"torch.compile needs a C++ compiler and there is no {compiler}"
    if device == "cuda":
        import torch
        from torch.utils._triton import has_triton

        major, minor = torch.cuda.get_device_capability()
        if major < 7:
            return f"torch.compile needs compute capability 7.0, this GPU has {major}.{minor}"
        if not has_triton():
            return "torch.compile needs Triton on CUDA and it is not installed"
    return None


def _cuda_graphs_why_not(device: str) -> str | None:
    if device != "cuda":
        return f"reduce-overhead replays CUDA graphs; on {device} it would be the default mode again"
    return _compiler_why_not(device)


@dataclass(frozen=True)
class Compiler:
    """A mode of `torch.compile`, applied to the model.

    Attributes:
        mode: Its `mode`; None runs the model eagerly.
        why_not: The reason why it cannot run on a device (by name), or None.
    """

    name: str
    mode: str | None
    why_not: Callable[[str], str | None] = _compiler_why_not


COMPILERS = {
    row.name: row
    for row in (
        Compiler("off", None, lambda device: None),
        Compiler("default", "default"),
        Compiler("reduce-overhead", "reduce-overhead", _cuda_graphs_why_not),
        Compiler("max-autotune", "max-autotune"),
    )
}
