"""The sentences about a host with GPUs: which was used, the threads of its CPU, what the GPU in sight costs that."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.record.model import Record
from bench.report import units

STEP_SECONDS = re.compile(r"cpu_(\d+)_threads_b(\d+)_step_seconds")
CLEAR = 0.03  # what is less is nothing that shows


def sentences(record: Record) -> list[str]:
    """What was chosen and found; nothing of a host without a GPU."""
    settings, hardware = record.environment["settings"], record.environment["hardware"]
    return [*_gpus(hardware), *_threads(settings), *_cost(settings)]


def _gpus(hardware: Mapping[str, object]) -> list[str]:
    if "cuda_not_used" not in hardware:
        return []
    return [f"Of {hardware['cuda_visible_gpus']} GPUs, {hardware['cuda_used']} was used, and not "
            f"{hardware['cuda_not_used']}: --device names another by its number."]  # fmt: skip


def _threads(settings: Mapping[str, object]) -> list[str]:
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


def _cost(settings: Mapping[str, object]) -> list[str]:
    names = ("cpu_optimizer_seconds", "cpu_optimizer_gpu_hidden_seconds",
             "cpu_optimizer_gpu_ratio_least", "cpu_optimizer_gpu_ratio_largest")  # fmt: skip
    values = [value for name in names if isinstance(value := settings.get(name), float)]
    if len(values) < len(names):  # older records have one pair of processes, which tells nothing
        return []
    seen, hidden, least, largest = values
    times = f"{units.duration(seen)} on the CPU, and {units.duration(hidden)} with CUDA_VISIBLE_DEVICES= (no GPU seen)"
    if least > 1 + CLEAR:
        return [
            f"The GPU in sight costs a CPU's step {units.duration(seen - hidden)}: Adam's update takes {times}; "
            "torch asks for the GPU's stream in it."
        ]
    if largest <= 1 + CLEAR:
        return [f"The GPU in sight costs the CPU's cases nothing that shows: Adam's update takes {times}."]
    return [
        "Whether the GPU in sight costs the CPU's cases time cannot be told here: in pairs of processes, Adam's update "
        f"takes {least:.2f} to {largest:.2f} times as long on the CPU as with CUDA_VISIBLE_DEVICES= (no GPU seen)."
    ]
