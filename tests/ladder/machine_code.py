"""A kernel of Triton as machine code for a GPU that is not here, and what it keeps in memory for want of registers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest


def compiled(
    kernel: Any,
    types: Mapping[str, str],
    constants: Mapping[str, Any],
    capability: int,
    options: Mapping[str, Any],
    unaligned: Collection[str] = (),
) -> Any:
    """What Triton makes of the kernel as a launch asks for it: most tensors begin at a multiple of 16 bytes.

    Args:
        kernel: The function.
        types: Of its parameters, by name; the others are pointers to float32.
        constants: Values of parameters that are compiled in.
        capability: Of the GPU, 90 for 9.0.
        options: The compiler's.
        unaligned: Pointers that may be to anywhere.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    aligned = {
        (at,): [["tt.divisibility", 16]]
        for at, (name, kind) in enumerate(signature.items())
        if kind.startswith("*") and name not in unaligned
    }
    source = ASTSource(kernel, signature, constexprs=dict(constants), attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=dict(options))


def bytes_in_memory(binary: bytes, folder: Path) -> int:
    """Bytes per thread of a kernel's stack and local memory, where goes what registers have no room for."""
    from triton.backends import nvidia

    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    if not tool.exists():
        pytest.skip(f"this Triton brings no {tool.name}, which tells of spills")
    file = folder / "kernel.cubin"
    file.write_bytes(binary)
    said = subprocess.run([tool, "-res-usage", file], capture_output=True, text=True, check=True).stdout
    counts = re.findall(r"\b(?:STACK|LOCAL):(\d+)", said)
    assert len(counts) == 2, said
    return sum(map(int, counts))
