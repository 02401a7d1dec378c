"""The precision axis: the number format of the matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A way to do the arithmetic.

    Attributes:
        amp_dtype: The autocast dtype's name in torch; None leaves autocast off.
        use_scaler: Whether gradients are scaled (fp16's narrow exponent needs it).
        float32_matmul: Setting of `torch.set_float32_matmul_precision`.
        why_not: The reason why it makes no sense on a device (by name), or None.
    """

    name: str
    meaning: str
    amp_dtype: str | None = None
    use_scaler: bool = False
    float32_matmul: str = "highest"
    why_not: Callable[[str], str | None] = lambda device: None


def _tf32_why_not(device: str) -> str | None:
    if device != "cuda":
        return f"TF32 is a format of NVIDIA's tensor cores; the device is {device}"
    import torch

    major, minor = torch.cuda.get_device_capability()
    return None if major >= 8 else f"TF32 needs compute capability 8.0, this GPU has {major}.{minor}"


PRECISIONS = {
    row.name: row
    for row in (
        Precision("fp32", "32-bit floats throughout"),
        Precision(
            "tf32",
            "32-bit floats, matrix products rounded to TF32",
            float32_matmul="high",
            why_not=_tf32_why_not,
        ),
        Precision("bf16", "automatic mixed precision, bfloat16", amp_dtype="bfloat16"),
        Precision(
            "fp16",
            "automatic mixed precision, float16, with gradient scaling",
            amp_dtype="float16",
            use_scaler=True,
        ),
    )
}
