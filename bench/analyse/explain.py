"""Why a case takes its time: one verdict, its evidence, and what would help."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analyse.floor import cost, floor
from bench.analyse.levels import time_of
from bench.axes.workloads import workload
from bench.record.measurement import CaseFields, Counters, Measurement
from bench.record.model import Record

HELP = {
    "data": "keep the images in memory as one tensor (feed resident), or give the loader worker processes",
    "transfer": "keep the images on the device (feed device), or copy from pinned memory",
    "dispatch": "a larger batch, a fused optimizer, or a compiled step: fewer and larger operator calls",
    "launch": "a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels",
    "compute": "a faster number format, more cores, or a faster processor: the arithmetic itself takes the time",
    "memory": "fewer bytes: a smaller number format, fused operators, or a processor with more bandwidth",
    "thread": "CUDA graphs, or the backward pass on the caller's own thread "
    "(torch.autograd.set_multithreading_enabled): on a GPU autograd wakes a thread of its own for it",
    "replay": "fewer kernels: a fused optimizer, or one kernel for many, as the ladder has them",
    "latency": "a larger batch, so that there are fewer steps: each waits for the one before, however fast it is",
}
CAPTURED = "graph"  # of the compiler axis, what replays all of it
WORTH_A_WORD = 0.05  # of the time, beside what takes the most


@dataclass(frozen=True)
class Verdict:
    """What bounds a case.

    Attributes:
        bound: A key of `HELP`.
        seconds: The seconds of a repetition that this accounts for, and `share` of the median.
        evidence: A sentence with the numbers.
    """

    bound: str
    seconds: float
    share: float
    evidence: str

    @property
    def help(self) -> str:
        """What would make it faster."""
        return HELP[self.bound]


def explain(measurement: Measurement, record: Record) -> Verdict | None:
    """The verdict on a measured case; None if its counters, phases or yardsticks are missing.

    Every candidate is a time: the waiting for data, the copy to an accelerator, the operator calls at the price of
    one (dispatch on the CPU; on an accelerator, launch for those that start a kernel), the arithmetic at the measured
    peak, the bytes at the measured bandwidth, on a GPU the steps that wait for one another, the waking of autograd's
    thread, and the kernels of a captured step, which wait for one another. The largest is the verdict. Its share says
    how much it explains.
    """
    bounds = floor(measurement, record)
    counters, phases, case = measurement.counters, measurement.phases, measurement.case
    if bounds is None or counters is None:
        return None
    median = time_of(measurement, record).value
    steps = measurement.steps_per_epoch or 1
    dispatch = "dispatch" if case.device == "cpu" else "launch"
    price = cost(record.yardsticks, case.device, dispatch)
    if price is None:
        return None
    parts = phases.host_seconds if phases else {}
    thread = node = 0.0  # of what is not there, or was not timed
    if case.compiler == CAPTURED:
        node = cost(record.yardsticks, case.device, "graph_node") or 0.0
    elif workload(case.workload).backward:
        thread = cost(record.yardsticks, case.device, "backward_thread") or 0.0
    kernels = (counters.kernels_launched or 0) * steps
    found = {
        "data": (parts.get("fetch", 0.0), "fetching batches"),
        "transfer": (0.0 if case.device == "cpu" else parts.get("to_device", 0.0), "copying batches to the device"),
        dispatch: _called(case, counters, steps, price, cost(record.yardsticks, "cpu", "dispatch")),
        "thread": (steps * thread, f"waking autograd's thread and being woken, {thread * 1e6:.0f} µs"),
        "replay": (kernels * node, f"{kernels:,} kernels of a graph at {node * 1e6:.1f} µs each"),
        "compute": (bounds.compute_seconds, f"{bounds.flops / 1e6:,.1f} MFLOP at the measured peak"),
        "memory": (bounds.memory_seconds, "the bytes that must move, at the measured bandwidth"),
        "latency": (bounds.latency_seconds, "dependent steps, at the least that lies between two"),
    }
    bound = max(found, key=lambda name: found[name][0])
    seconds, what = found[bound]
    share = seconds / median
    evidence = f"{what}: {share:.0%} of the time"
    beside, what = found["thread"]
    if bound != "thread" and beside / median >= WORTH_A_WORD:
        evidence += f"; {what}: {beside / median:.0%}"
    return Verdict(bound, seconds, share, evidence)


def _called(
    case: CaseFields, counters: Counters, steps: int, price: float, dispatch: float | None
) -> tuple[float, str]:
    """What it takes to call the operators of a repetition, and that in words.

    On a GPU, only those that start a kernel cost a launch: half of a step's make views and the like, at the price of a
    dispatch on the CPU, or at none where that was not timed. Where the kernels are not known, and where graphs start
    some, all calls are taken for launches.
    """
    calls, kernels = sum(counters.aten_calls.values()) * steps, (counters.kernels_launched or 0) * steps
    if case.device == "cpu" or not kernels or counters.cuda_graph_launches:
        return calls * price, f"{calls:,} operator calls at {price * 1e6:.1f} µs each"
    what = f"{kernels:,} kernels at {price * 1e6:.1f} µs each"
    others = max(0, calls - kernels) if dispatch else 0
    if not others or not dispatch:
        return kernels * price, what
    return kernels * price + others * dispatch, f"{what} and {others:,} other operator calls at {dispatch * 1e6:.1f} µs"
