"""What a repetition takes of a CUDA device: memory that is allocated and reserved, and how busy it is kept."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.measure import nvml
from bench.measure.clock import Clock
from bench.record.measurement import DeviceUse

REPETITIONS = 20  # a CUDA graph is recorded in the second
SHORT = "NVML looks back for up to a second, and only a thorough run repeats a case for so long"


def device_use(repeat: Callable[[], object], clock: Clock, *, busy: bool) -> DeviceUse | None:
    """What the device is used for; None on devices other than CUDA.

    Memory is that of the process while the repetition runs, with the images and models it holds: allocated by tensors,
    and reserved by torch's caching allocator, which is what others cannot have.

    Args:
        repeat: The repetition.
        clock: Of its device.
        busy: Whether it has been repeated for a second and more until now, so that NVML's utilisation is its own.
    """
    if clock.device.torch_name != "cuda":
        return None
    utilisation, reason = _utilisation() if busy else (None, f"not measured: {SHORT}")
    torch.cuda.empty_cache()  # what other cases have left
    torch.cuda.reset_peak_memory_stats()
    clock.time_block(repeat, REPETITIONS)
    return DeviceUse(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(), utilisation, reason)


def _utilisation() -> tuple[float | None, str | None]:
    """The share of the last sampling period in which a kernel ran on the GPU, or why NVML does not tell."""
    try:
        return nvml.ask(lambda pynvml, gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100), None
    except nvml.NvmlError as error:
        return None, f"not known: {error}"
