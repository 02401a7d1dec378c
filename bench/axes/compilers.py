"""The compiler axis: how the model's Python is turned into kernels."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# From this torch on `CXX` is a command, with the words of a shell; before, the name of one program.
CXX_IS_SPLIT = "2.14"


def _cxx_why_not() -> str | None:
    """Why Inductor would find no C++ compiler: it takes `CXX`, else the system's default, and looks for no other.

    See `torch/_inductor/config.py` (`cpp.cxx`) and `cpp_builder.py` (`get_cpp_compiler`).
    """
    import torch
    from torch.torch_version import TorchVersion

    command = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))
    name, newer = command, ""
    if sys.platform != "win32":
        if TorchVersion(torch.__version__) >= CXX_IS_SPLIT:
            try:
                name = next(iter(shlex.split(command)), "")
            except ValueError as error:
                return f"torch.compile needs a C++ compiler and CXX={command} is no command: {error}"
        else:
            newer = f", or install torch {CXX_IS_SPLIT}"
    if not name.strip():
        return "torch.compile needs a C++ compiler and CXX is empty: unset it, or name one in it"
    if shutil.which(name):
        return None
    if name == command and len(command.split()) > 1:
        return (
            f"torch.compile needs a C++ compiler and torch {torch.__version__} takes CXX={command} as the name of one: "
            f"name a compiler alone in CXX{newer}"
        )
    return f"torch.compile needs a C++ compiler and there is no {name}: install it, or name another in CXX"


def path_why_not(file: str = __file__) -> str | None:
    """Why torch.compile could not name the lines of this program: it takes no path that is not UTF-8."""
    try:
        file.encode()
    except UnicodeEncodeError:
        return f"torch.compile takes no path that is not UTF-8: {Path(file).parents[2]}; move it"
    return None


def _compiler_why_not(device: str) -> str | None:
    if reason := path_why_not():
        return reason
    if device == "cpu":
        return _cxx_why_not()
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
