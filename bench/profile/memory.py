"""Memory of a step by category, from torch's profiler, and what the process held at its peak, from memray."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
from torch.profiler import profile

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.errors import BenchError, reason_of
from bench.profile.model import Holder
from bench.profile.steps import MarkedSteps
from bench.profile.tracing import activities
from bench.record import files

HOLDERS = 12
POINTS = 150  # of the timeline
# In the order of the exported timeline's columns (torch.profiler._memory_profiler).
CATEGORIES = (
    "parameters", "optimizer state", "input", "temporary", "activations", "gradients", "autograd detail", "other",
)  # fmt: skip


def timeline(case: Case, steps: MarkedSteps) -> tuple[list[float], dict[str, list[int]]]:
    """Seconds, and bytes by category at those times, over two steps.

    Raises:
        BenchError: This torch cannot tell; the message says why.
    """
    with profile(activities=activities(case), record_shapes=True, profile_memory=True, with_stack=True) as recorded:
        steps.traced(2)
    device = "cpu" if case.device == "cpu" else f"{DEVICES[case.device].torch_name}:0"
    with files.scratch() as folder:
        file = folder / "memory.json"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecated for CUDA's own snapshots, which know no CPU
                recorded.export_memory_timeline(str(file), device=device)
            times, sizes = json.loads(file.read_text("utf-8"))
        except Exception as error:  # it rests on torch's internals, which may raise anything when they change
            raise BenchError(f"this torch exports no memory timeline: {reason_of(error)}") from error
    if not times:
        raise BenchError("the profiler saw no allocation")
    return thinned(times, sizes)


def thinned(times: list[int], sizes: list[list[int]]) -> tuple[list[float], dict[str, list[int]]]:
    """The timeline with at most `POINTS` points, the peak's among them.

    Args:
        times: µs.
        sizes: Bytes at those times by category, after a column of zeros.
    """
    totals = [sum(row) for row in sizes]
    peak = max(range(len(totals)), key=totals.__getitem__)
    every = math.ceil(len(times) / POINTS)
    kept = sorted({*range(0, len(times), every), peak, len(times) - 1})
    columns = zip(*(sizes[at][1:] for at in kept), strict=True)
    categories = {name: list(column) for name, column in zip(CATEGORIES, columns, strict=False)}
    return [(times[at] - times[0]) / 1e6 for at in kept], {
        name: values for name, values in categories.items() if any(values)
    }


def held_at_peak(run: Callable[[], object], source: Path) -> tuple[list[Holder], int, int]:
    """The lines that hold most of what `run` allocates at its peak, of `source` where there is one; bytes of it all.

    Not what was mapped without being memory: a mapping larger than all that the process holds is of addresses that it
    may use later. CUDA's driver reserves 12 GiB of them.

    Returns:
        Holders, the largest first, the bytes of all, and the bytes that are only addresses.

    Raises:
        BenchError: memray is not installed.
    """
    try:
        import memray
    except ModuleNotFoundError as error:
        raise BenchError("memray is not installed: pip install memray") from error
    with files.scratch() as folder:
        file = folder / "memray.bin"
        with memray.Tracker(file):
            run()
        resident_bytes, reserved_bytes = psutil.Process().memory_info().rss, 0
        totals: dict[str, list[int]] = {}
        reader = memray.FileReader(file)
        for record in reader.get_high_watermark_allocation_records(merge_threads=True):
            if record.allocator == memray.AllocatorType.MMAP and record.size > resident_bytes:
                reserved_bytes += record.size
                continue
            total = totals.setdefault(_where(record.stack_trace(), source), [0, 0])
            total[0] += record.size
            total[1] += record.n_allocations
    holders = [Holder(where, size, count) for where, (size, count) in totals.items()]
    largest = sorted(holders, key=lambda holder: -holder.bytes)[:HOLDERS]
    return largest, sum(holder.bytes for holder in holders), reserved_bytes


def _where(stack: list[tuple[str, str, int]], source: Path) -> str:
    """The innermost frame of `source`'s own code, else the innermost."""
    for function, file, line in stack:
        if Path(file).is_relative_to(source / "fcnn"):
            return f"{Path(file).name}:{line} {function}"
    for function, file, line in stack:
        return f"{'/'.join(Path(file).parts[-2:])}:{line} {function}"
    return "unknown"
