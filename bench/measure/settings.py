"""The settings that every compared case shares, applied before a case and written into the record."""

from __future__ import annotations

import os
from typing import Any

import torch

from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS
from bench.measure import cgroup

MOST_GRAPHS = 1024
# Names of torch's newer interface, and what the older one calls the same; "none" is what nobody has set.
FP32_PRECISIONS = {"none": "highest", "ieee": "highest", "tf32": "high", "bf16": "medium"}


def cpu_quota_cores() -> float | None:
    """Cores that the control groups grant; None without a limit."""
    return cgroup.quota_cores()


def usable_cores() -> int:
    """Cores this process may use: its affinity, capped by the control group's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota_cores()
    return max(1, min(affinity, int(quota)) if quota else affinity)


def default_threads() -> int:
    """Threads of a case that names none: torch's own choice (physical cores), capped by the usable cores."""
    import psutil  # a worker under another interpreter has none, and is told how many

    physical = psutil.cpu_count(logical=False) or usable_cores()
    named = os.environ.get("OMP_NUM_THREADS", "")
    return int(named) if named.isdecimal() and int(named) else min(physical, usable_cores())


def apply(case: Case, *, as_a_user: bool = False) -> None:
    """Sets threads and matrix-product precision for `case`, and everything else to the fixed choice.

    For a program of the user's own the threads alone: what it sets itself, when it is imported or made, is part of it.

    Args:
        case: What is to be run.
        as_a_user: Whether it is measured what compiling from cold costs a user, with the processes that Inductor starts
            for it; else it compiles in this process alone.
    """
    use_threads(case.threads)
    if WORKLOADS[case.workload].own:
        return
    torch.set_float32_matmul_precision(PRECISIONS[case.precision].float32_matmul)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(False)
    if COMPILERS[case.compiler].mode:
        os.environ["LC_ALL"] = "C"  # what a compiler says is read for the reason, in English
        _compile_many()
        if not as_a_user:
            compile_in_process()


def float32_matmul(device: str) -> str:
    """How float32 matrix products are computed on a device: `highest`, `high` or `medium`, whichever interface set it.

    Torch has two: `set_float32_matmul_precision` (and `allow_tf32`), and `fp32_precision` by backend and operation. The
    getters of the first raise, or tell what was, where the second was used; those of the second know of both.
    """
    backend = torch.backends.cuda if device == "cuda" else torch.backends.mkldnn
    precision = str(backend.matmul.fp32_precision)
    return FP32_PRECISIONS.get(precision, precision)


def _compile_many() -> None:
    """Lets a process compile a function for more cases than the eight after which torch silently runs it eagerly."""
    import torch._dynamo

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, MOST_GRAPHS)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, MOST_GRAPHS)


def compile_in_process() -> None:
    """Lets Inductor compile in this process alone, and start none beside it.

    Where Triton is, the first compilation starts a process that imports torch for seconds and forks others, for kernels
    that are in the caches already: of a GPU's first rounds, all had a core less and were marked as disturbed. Compiled
    code is the same: the caches' keys leave it out.
    """
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1


def use_threads(threads: int) -> None:
    """Sets the CPU threads, which from the first on compute with denormal numbers as zeros.

    Adam's moments of pixels that are seldom lit decay into denormal numbers, which many processors compute with slowly:
    without this, a step at batch 1 takes half as long again after some thousand steps on AVX-512 Xeons, and there is no
    one time to report. Threads inherit the setting from the one that starts them, so it comes before any work.
    """
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)


def denormals_are_flushed() -> bool:
    """Whether they are, on every thread: tried out, since not every processor can."""
    tiny = torch.full((1 << 20,), 1e-30)
    return not bool((tiny * 1e-10).count_nonzero())


def recorded() -> dict[str, Any]:
    """The settings as they stand, by name, for the record's environment."""
    return {
        "cpu_threads_default": default_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "flush_denormal": denormals_are_flushed(),
        "garbage_collector_in_timed_blocks": False,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cuda_launch_blocking": os.environ.get("CUDA_LAUNCH_BLOCKING", "") not in ("", "0"),
        "anomaly_mode": torch.is_anomaly_enabled(),
    }
