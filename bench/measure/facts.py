"""The facts of the machine and of the software, for the record's environment. Nothing that names the host."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.axes.devices import DEVICES, cpu_flags, cpu_model, why_unusable
from bench.measure import cgroup, git, nvml, settings
from bench.measure.conditions import NOT_KNOWN, conditions
from bench.record.model import Beside, Commit, Machine


def machine() -> Machine:
    """The kind of machine, from the models of its CPU and of every accelerator that is here, used or not.

    So that a machine has one name, whatever is measured on it, and also where an accelerator turns out not to work.
    """
    cores = settings.usable_cores()
    parts = [f"{_plain(DEVICES['cpu'].model())}, {cores} core{'s' if cores > 1 else ''}"]
    slugs = [f"{_slug(DEVICES['cpu'].model())}-{cores}c"]
    for name in DEVICES:
        if name == "cpu" or DEVICES[name].why_missing():
            continue
        with contextlib.suppress(Exception):  # one whose driver does not even tell that
            parts.insert(0, model := DEVICES[name].model())
            slugs.insert(0, _slug(model))
    return Machine(slug="-".join(slugs), label=" with ".join(parts))


def _plain(model: str) -> str:
    """A brand string without trademark signs, clock and filler: `Intel(R) Xeon(R) Processor` -> `Intel Xeon`."""
    plain = re.sub(r"\((R|TM)\)|CPU|Processor|@.*|\d+-Core", "", model, flags=re.IGNORECASE)
    return " ".join(plain.split())


def _slug(model: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", _plain(model).lower()).strip("-")


def commit() -> Commit | None:
    """The git commit of this harness; None outside of a checkout of it or without git."""
    return git.commit_of(Path(__file__).parents[2] / "bench" / "__init__.py")


# Processor flags that stand for matrix products in a number format, by precision; what lacks them emulates it.
NUMBER_FORMATS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "asimdhp")}


def has(precision: str) -> bool | None:
    """Whether the processor has instructions for a row of `NUMBER_FORMATS`; None if it does not tell."""
    flags = cpu_flags()
    return any(flag in flags for flag in NUMBER_FORMATS[precision]) if flags else None


def environment(devices: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Groups `hardware`, `software`, `settings` and `conditions` of plain values."""
    import torch

    hardware: dict[str, Any] = {
        "cpu": cpu_model(),
        "cpu_cores_physical": psutil.cpu_count(logical=False),
        "cpu_cores_usable": settings.usable_cores(),
        "cpu_quota_cores": settings.cpu_quota_cores(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **{f"cpu_{name}_instructions": has(name) for name in NUMBER_FORMATS},
        "memory_bytes": psutil.virtual_memory().total,
    }
    limit = cgroup.memory_limit_bytes()
    if limit is not None and limit < hardware["memory_bytes"]:
        hardware["memory_limit_bytes"] = limit
    for name in devices:
        if name == "cpu":
            continue
        reason = why_unusable(name)
        hardware[name] = f"none: {reason}" if reason else DEVICES[name].model()
    software: dict[str, Any] = {
        # Without the suffix, which names a build or a provider and not a kind of machine.
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        **{name.replace("-", "_"): version(name) for name in ("torch", "torchvision", "numpy", "pytest-benchmark")},
        "torch_git": torch.version.git_version,
        "torch_debug": torch.version.debug,
        "cuda": torch.version.cuda,
        "cpu_math": "MKL" if torch.backends.mkl.is_available() else "no MKL",
        "onednn": torch.backends.mkldnn.is_available(),
    }
    uuid = None
    if torch.cuda.is_available() and not why_unusable("cuda"):
        hardware |= _cuda_facts(software)
        uuid = nvml.gpu_uuid() if "cuda" in devices else None
    return {
        "hardware": hardware,
        "software": software,
        "settings": settings.recorded(),
        # Load is not measured here: each round has its own.
        "conditions": {condition.name: condition.state for condition in conditions(Beside(), uuid)},
    }


# What NVML tells of a board and stays as it is during a run; some of it only of some GPUs.
BOARD: dict[str, Callable[[Any, Any], Any]] = {
    "cuda_sm_clock_max_hertz": lambda p, gpu: 1e6 * p.nvmlDeviceGetMaxClockInfo(gpu, p.NVML_CLOCK_SM),
    "cuda_memory_clock_max_hertz": lambda p, gpu: 1e6 * p.nvmlDeviceGetMaxClockInfo(gpu, p.NVML_CLOCK_MEM),
    "cuda_power_limit_watts": lambda p, gpu: p.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1e3,
    "cuda_mig": lambda p, gpu: bool(p.nvmlDeviceGetMigMode(gpu)[0]),
    "cuda_ecc": lambda p, gpu: bool(p.nvmlDeviceGetEccMode(gpu)[0]),
}


def _cuda_facts(software: dict[str, Any]) -> dict[str, Any]:
    import torch

    properties = torch.cuda.get_device_properties(0)
    software["nvidia_driver"] = _told(lambda p, gpu: str(p.nvmlSystemGetDriverVersion()))
    return {
        "cuda_compute_capability": f"{properties.major}.{properties.minor}",
        "cuda_multiprocessors": properties.multi_processor_count,
        "cuda_memory_bytes": properties.total_memory,
        **_several_gpus(torch.cuda.device_count()),
        **{name: _told(question) for name, question in BOARD.items()},
    }


def _several_gpus(count: int) -> dict[str, Any]:
    """Which GPUs are visible, where it is more than the one that is used."""
    import torch

    if count < 2:
        return {}
    named = [f"cuda:{number} {torch.cuda.get_device_name(number)}" for number in range(count)]
    return {"cuda_visible_gpus": count, "cuda_used": named[0], "cuda_not_used": ", ".join(named[1:])}


def _told(question: Callable[[Any, Any], Any]) -> Any:
    """What NVML answers, or in words why it does not."""
    try:
        return nvml.ask(question)
    except nvml.NvmlError as error:
        return f"{NOT_KNOWN}{error}"


@functools.cache  # the files of a package are searched for it
def version(package: str) -> str | None:
    """The version of an installed package, as its metadata has it; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
