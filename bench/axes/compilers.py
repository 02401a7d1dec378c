"""The compiler axis: how the Python of the model, or of the whole step, is turned into kernels."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
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


def _cc_why_not() -> str | None:
    """Why Triton could not build what launches its kernels: it takes `CC`, else gcc, else clang, and Python's headers.

    See `triton/runtime/build.py` (`_find_compiler`, `_build`). `CC` is the name of one program, whatever is in it.
    """
    if sys.platform == "win32":  # Triton for Windows brings a compiler along
        return None
    named = os.environ.get("CC")
    if named is None and not (shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler and there is neither gcc nor clang: install one, or name another in CC"
    if named is not None and not named.strip():
        return "Triton needs a C compiler and CC is empty: unset it, or name one in it"
    if named is not None and not shutil.which(named):
        return f"Triton needs a C compiler and there is no {named}: install it, or name another in CC"
    scheme = sysconfig.get_default_scheme()
    # As Triton has it: a distribution's own scheme names a folder below /usr/local, where its headers are not.
    scheme = "posix_prefix" if scheme == "posix_local" else scheme
    header = Path(sysconfig.get_paths(scheme)["include"], "Python.h")
    return None if header.exists() else f"Triton needs Python's headers and there is no {header}: install them"


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
        return _cc_why_not()
    return None


def _cuda_graphs_why_not(device: str) -> str | None:
    if device != "cuda":
        return f"reduce-overhead replays CUDA graphs; on {device} it would be the default mode again"
    return _compiler_why_not(device)


def _capture_why_not(device: str) -> str | None:
    return None if device == "cuda" else f"a CUDA graph needs CUDA; the device is {device}"


@dataclass(frozen=True)
class Compiler:
    """What is done to the Python that would run in every step.

    Attributes:
        mode: The mode of `torch.compile`, applied to the model; None leaves the model eager.
        why_not: The reason why it cannot run on a device (by name), or None.
        cuda_graphs: Whether `torch.compile` then replays CUDA graphs of the model, on CUDA.
        captured: Whether all that a repetition does on the device is captured as one CUDA graph and replayed.
    """

    name: str
    mode: str | None
    why_not: Callable[[str], str | None] = _compiler_why_not
    cuda_graphs: bool = False
    captured: bool = False


COMPILERS = {
    row.name: row
    for row in (
        Compiler("off", None, lambda device: None),
        Compiler("default", "default"),
        Compiler("reduce-overhead", "reduce-overhead", _cuda_graphs_why_not, cuda_graphs=True),
        Compiler("max-autotune", "max-autotune", cuda_graphs=True),
        Compiler("graph", None, _capture_why_not, captured=True),
    )
}
