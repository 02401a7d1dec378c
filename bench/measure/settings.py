"""The settings that every compared case shares, applied before a case and written into the record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil

from bench.axes.case import Case
from bench.axes.precisions import PRECISIONS

CGROUP = Path("/sys/fs/cgroup")


def cpu_quota_cores() -> float | None:
    """Cores that the control group grants (cgroup v2 `cpu.max`, v1 `cfs_quota_us`); None without a limit."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (CGROUP / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (CGROUP / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def usable_cores() -> int:
    """Cores this process may use: its affinity, capped by the control group's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    quota = cpu_quota_cores()
    return max(1, min(affinity, int(quota)) if quota else affinity)


def default_threads() -> int:
    """Threads of a case that names none: torch's own choice (physical cores), capped by the usable cores."""
    physical = psutil.cpu_count(logical=False) or usable_cores()
    return int(os.environ.get("OMP_NUM_THREADS") or min(physical, usable_cores()))


def apply(case: Case) -> None:
    """Sets threads and matrix-product precision for `case`, and everything else to the fixed choice."""
    import torch

    torch.set_num_threads(case.threads)
    torch.set_float32_matmul_precision(PRECISIONS[case.precision].float32_matmul)
    torch.set_flush_denormal(False)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(False)


def recorded() -> dict[str, Any]:
    """The settings as they stand, by name, for the record's environment."""
    import torch

    return {
        "cpu_threads_default": default_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "flush_denormal": False,
        "garbage_collector_in_timed_blocks": False,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cuda_launch_blocking": os.environ.get("CUDA_LAUNCH_BLOCKING", "") not in ("", "0"),
        "anomaly_mode": torch.is_anomaly_enabled(),
    }
