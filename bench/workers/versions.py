"""What a process runs in, as far as it may matter for a training's speed: interpreter, packages, torch's making."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.workers.serve import State

# Lines of `torch.__config__.show()` by what each is about; build settings are a thousand words, and follow from these.
BUILT = {
    "MKL": re.compile(r"Math Kernel Library Version (\S+)"),
    "oneDNN": re.compile(r"MKL-DNN (v\S+)"),
    "OpenMP": re.compile(r"OpenMP (\d+)"),
    "torch's compiler": re.compile(r"- ((?:GCC|clang|MSVC|Clang) \S+)"),
    "instruction set": re.compile(r"CPU capability usage: (\S+)"),
}
# Variables by which torch and its libraries are told how to compute.
TELLING = ("ATEN_", "DNNL_", "GOMP_", "KMP_", "LD_PRELOAD", "MALLOC_", "MKL_", "OMP_", "ONEDNN_", "PYTORCH_", "TORCH")
# What a training step calls, and CUDA's libraries, whose names may end in a version such as `-cu13`.
PACKAGES = ("numpy", "torchao", "torchaudio", "torchvision", "triton")
LIBRARIES = ("nvidia-cu", "nvidia-nccl", "nvidia-nvjitlink", "nvidia-nvshmem")


def versions(state: State) -> dict[str, str]:
    """By name: the interpreter, torch and what it was built with, packages beside it, and telling variables."""
    import torch

    built = torch.__config__.show()
    return {
        "interpreter": sys.executable,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "torch": str(torch.__version__),
        "CUDA of torch": str(torch.version.cuda or "none"),
        **{name: match[1] for name, pattern in BUILT.items() if (match := pattern.search(built))},
        **_packages(),
        **{name: value for name, value in sorted(os.environ.items()) if name.startswith(TELLING)},
    }


def _packages() -> dict[str, str]:
    by_name = {}
    for one in importlib.metadata.distributions():
        name = (one.metadata["Name"] or "").lower()
        if name in PACKAGES or name.startswith(LIBRARIES):
            by_name[name] = one.version
    return dict(sorted(by_name.items()))
