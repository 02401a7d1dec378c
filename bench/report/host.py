"""The sentences about a host with GPUs: which was used, the threads of its CPU, what the GPU in sight costs that."""

from __future__ import annotations

import re

from bench.record.model import Record
from bench.report import units

STEP_SECONDS = re.compile(r"cpu_(\d+)_threads_b(\d+)_step_seconds")
CLEAR = 0.03  # two processes of one program differ by about as much


def sentences(record: Record) -> list[str]:
    """What was chosen and found; nothing of a host without a GPU."""
    settings, hardware = record.environment["settings"], record.environment["hardware"]
    return [*_gpus(hardware), *_threads(settings), *_cost(settings)]


def _gpus(hardware: dict[str, object]) -> list[str]:
    if "cuda_not_used" not in hardware:
        return []
    return [f"Of {hardware['cuda_visible_gpus']} GPUs, {hardware['cuda_used']} was used, and not "
            f"{hardware['cuda_not_used']}: --device names another by its number."]  # fmt: skip


def _threads(settings: dict[str, object]) -> list[str]:
    chosen = settings.get("cpu_threads_chosen")
    if chosen is None:
        return []
    tried = [match for name in settings if (match := STEP_SECONDS.fullmatch(name))]
    counts = sorted({int(match[1]) for match in tried})
    batches = " and ".join(f"{batch:,}" for batch in sorted({int(match[2]) for match in tried}))
    return [
        f"The CPU computes with {chosen} threads: of {', '.join(map(str, counts))}, that is the fastest count, or one "
        f"close to it, over steps of {batches} images. --threads names another."
    ]


def _cost(settings: dict[str, object]) -> list[str]:
    seen, hidden = settings.get("cpu_optimizer_seconds"), settings.get("cpu_optimizer_gpu_hidden_seconds")
    if not isinstance(seen, float) or not isinstance(hidden, float):
        return []
    times = f"{units.duration(seen)} on the CPU, and {units.duration(hidden)} with CUDA_VISIBLE_DEVICES= (no GPU seen)"
    if seen <= (1 + CLEAR) * hidden:
        return [f"The GPU in sight costs the CPU's cases nothing that shows: Adam's update takes {times}."]
    return [
        f"The GPU in sight costs a CPU's step {units.duration(seen - hidden)}: Adam's update takes {times}; "
        "torch asks for the GPU's stream in it."
    ]
