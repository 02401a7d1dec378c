"""Calibrations: fixed probes of the machine, timed in the same run by the same clock.

They say what this machine can do at all (matrix product, copy), what an operator costs before it does anything
(dispatch, launch), what it costs to hand a backward pass over to a GPU's thread (backward_thread) and how soon a GPU
can go on with what depends on what it did (graph_node, grid_barrier), so that a case's time can be set against a
roofline bound, and a machine that changed under way is noticed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch

from bench.axes.devices import DEVICES
from bench.axes.precisions import PRECISIONS, Precision
from bench.errors import reason_of
from bench.measure import latency, nvrtc, settings
from bench.measure.clock import Clock
from bench.measure.probe import Probe, ReadyProbe
from bench.measure.sampling import SamplingRule, measure
from bench.record.model import Calibration

RULE = SamplingRule(budget_seconds=0.15, warmup_seconds=0.1)
# Of a matrix product on an accelerator: the largest that takes at most so long and so much of the free memory.
MATMUL_SIZES = (8192, 4096, 2048)
MATMUL_SECONDS = 0.03
MEMORY_SHARE = 1 / 4  # of what is free, for all the buffers of a probe
UNKNOWN_FREE_BYTES = 4 * 2**30  # taken to be free where that cannot be asked
FREE_BYTES: dict[str, Callable[[], int]] = {"cuda": lambda: torch.cuda.mem_get_info()[0]}
GIVE_BACK: dict[str, Callable[[], None]] = {
    "cuda": torch.cuda.empty_cache, "mps": torch.mps.empty_cache, "xpu": torch.xpu.empty_cache,
}  # fmt: skip
CPU_MATMUL_SIZE = 1024  # 2 GFLOP: large enough for the peak rate, small enough for a probe
CPU_COPY_BYTES = 64 * 2**20  # each of two buffers
# Each of two buffers; on a CPU together about what an update of the network touches. A GPU copies that in less time
# than a launch takes; there a cache of 50 MB just holds both of 16 MiB. An H200 copies even those in less than a launch
# from Python: where there are graphs, a graph holds so many copies.
CPU_CACHED_BYTES, CACHED_BYTES, GRAPH_COPIES = 512 * 2**10, 16 * 2**20, 50
# At most, for each of two: other GPUs have caches of 1 to 4 MB, and a slice of a large one has a part of its cache. Of
# buffers that do not fit, the copy would be through memory.
CACHE_SHARE = 1 / 3
# On an accelerator 1 GiB each, far above its caches, or as much as there is room for.
COPY_BYTES, LEAST_COPY_BYTES = 2**30, 2**26


def _free_bytes(device: str) -> int:
    return FREE_BYTES.get(torch.device(device).type, lambda: UNKNOWN_FREE_BYTES)()


def _matmul(precision: Precision) -> Probe:
    dtype = getattr(torch, precision.amp_dtype) if precision.amp_dtype else torch.float32

    def prepare(device: str, clock: Clock) -> ReadyProbe:
        size = _matmul_size(device, clock, functools.partial(_product, precision, dtype), dtype.itemsize)
        # 2 n^3: a multiplication and an addition for every element of every row and column.
        return ReadyProbe(_product(precision, dtype, size, device), 2.0 * size**3)

    return Probe(f"matmul_{precision.name}", "flop", prepare)


def _product(precision: Precision, dtype: torch.dtype, size: int, device: str) -> Callable[[], object]:
    # Made where they are used: 8192^2 numbers take a CPU longer than the probe.
    generator = torch.Generator().manual_seed(0) if device == "cpu" else None
    # Random numbers: processors multiply zeros faster than they multiply numbers.
    a, b = (torch.randn(size, size, generator=generator, device=device).to(dtype) for _ in range(2))
    # As nn.Linear has its weight. Number formats that the processor lacks are slow in other layouts: on an AVX2
    # EPYC, bfloat16 runs at 21 GFLOP/s like this and at 1 GFLOP/s with b as it is.
    b, out = b.t(), torch.empty_like(a)

    def repeat() -> None:
        torch.set_float32_matmul_precision(precision.float32_matmul)
        torch.mm(a, b, out=out)

    return repeat


def _matmul_size(
    device: str, clock: Clock, product: Callable[[int, str], Callable[[], object]], number_bytes: int
) -> int:
    """Large enough to be at the peak rate, small enough for a probe, by a first estimate with the smallest size."""
    if device == "cpu":
        return CPU_MATMUL_SIZE
    least = MATMUL_SIZES[-1]
    seconds = _quickest_seconds(product(least, device), clock)
    room = MEMORY_SHARE * _free_bytes(device)
    fit = (
        size
        for size in MATMUL_SIZES
        # Both factors are drawn in float32, one after the other.
        if seconds * (size / least) ** 3 <= MATMUL_SECONDS and size**2 * (3 * number_bytes + 4) <= room
    )
    return next(fit, least)


def _quickest_seconds(repeat: Callable[[], object], clock: Clock) -> float:
    """The best of what fits into the time that an idle GPU needs to raise its clocks.

    Not the first, which may take longer than that by itself: on an H200, float32 and bfloat16 products loaded their
    libraries and kernels in it, and were timed at a size that is far too small.
    """
    clock.time_block(repeat, 1)
    begin = clock.now()
    seconds: list[float] = []
    while not seconds or clock.now() - begin < RULE.warmup_seconds:
        seconds.append(clock.time_block(repeat, 1).host_seconds)
    return min(seconds)


def _copy(size: Callable[[str], int]) -> Callable[[str, Clock], ReadyProbe]:
    def prepare(device: str, clock: Clock) -> ReadyProbe:
        count = size(device) // 4
        source, target = (torch.ones(count, device=device) for _ in range(2))
        return ReadyProbe(lambda: target.copy_(source), 2.0 * 4 * count)  # read once and written once

    return prepare


def _cached_copy(device: str, clock: Clock) -> ReadyProbe:
    once = _copy(_cached_bytes)(device, clock)
    if torch.device(device).type != "cuda":
        return once
    return ReadyProbe(latency.in_a_graph(once.repeat, GRAPH_COPIES), GRAPH_COPIES * once.work)


def _copy_bytes(device: str) -> int:
    if device == "cpu":
        return CPU_COPY_BYTES
    # A power of two, so that a little less that is free does not change what is measured.
    room = int(MEMORY_SHARE * _free_bytes(device) / 2)
    return min(COPY_BYTES, max(LEAST_COPY_BYTES, _power_of_two(room)))


def _cached_bytes(device: str) -> int:
    if device == "cpu":
        return CPU_CACHED_BYTES
    cache = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) if device == "cuda" else 0
    return min(CACHED_BYTES, _power_of_two(int(CACHE_SHARE * cache))) if cache else CACHED_BYTES


def _power_of_two(number: int) -> int:
    """The largest that is not above it."""
    return 1 << (number.bit_length() - 1)


def _call(device: str, clock: Clock) -> ReadyProbe:
    x = torch.ones((), device=device)
    return ReadyProbe(lambda: x.add_(1.0), 1.0)


def _backward_thread(device: str, clock: Clock) -> ReadyProbe:
    """A backward pass that computes nothing. On an accelerator, a thread of autograd's own is woken for it.

    See `Engine::execute` in PyTorch's `torch/csrc/autograd/engine.cpp`: a thread per device, and none for the CPU.
    """
    leaf, gradient = torch.ones((), device=device, requires_grad=True), torch.ones(1, device=device)
    view = leaf.view(1)
    return ReadyProbe(lambda: torch.autograd.grad(view, leaf, gradient, retain_graph=True), 1.0)


def _on_cpu(device: str) -> bool:
    return device == "cpu"


def _on_accelerators(device: str) -> bool:
    return device != "cpu"


def _on_cuda(device: str) -> bool:
    return device == "cuda"


PROBES = (
    *(_matmul(precision) for precision in PRECISIONS.values()),
    Probe("copy", "byte", _copy(_copy_bytes)),
    Probe("copy_cached", "byte", _cached_copy),
    Probe("dispatch", "call", _call, _on_cpu),
    Probe("launch", "call", _call, _on_accelerators),
    Probe("backward_thread", "pass", _backward_thread, _on_accelerators),
    Probe("graph_node", "node", latency.graph_node, _on_cuda),
    Probe("grid_barrier", "barrier", latency.grid_barrier, _on_cuda, nvrtc.why_not),
)


@functools.cache
def _kept(probe: Probe) -> ReadyProbe:
    """Made once a process: fresh buffers lie on other pages, and a copy's rate depends on them by half."""
    return probe.prepare("cpu", Clock(DEVICES["cpu"]))


def run(device: str, threads: int, precisions: set[str]) -> list[Calibration]:
    """Times every probe that makes sense on `device` with the threads that its cases use.

    A probe that fails is a calibration without samples, with its reason. Of an accelerator's memory nothing is kept:
    the cases are to have it.

    Args:
        device: A row of the device axis that is here.
        threads: CPU threads of the matrix product and the copy.
        precisions: Names of the precisions that the run's cases use; other matrix products are not timed.
    """
    settings.use_threads(threads)
    timed = []
    for probe in PROBES:
        precision = probe.name.removeprefix("matmul_")
        if precision in PRECISIONS and (precision not in precisions or PRECISIONS[precision].why_not(device)):
            continue
        if probe.concerns(device):
            timed.append(_timed(probe, device))
            GIVE_BACK.get(torch.device(DEVICES[device].torch_name).type, lambda: None)()
    torch.set_float32_matmul_precision("highest")
    return timed


def _timed(probe: Probe, device: str) -> Calibration:
    clock, name = Clock(DEVICES[device]), DEVICES[device].torch_name
    nothing = Calibration(probe.name, device, probe.unit, 1.0, [])
    if reason := probe.why_not():
        return dataclasses.replace(nothing, reason=reason)
    try:
        prepared = _kept(probe) if name == "cpu" else probe.prepare(name, clock)
        samples = measure(prepared.repeat, clock, RULE)
        prepared.check()
    except Exception as error:  # one probe's failure costs no other
        return dataclasses.replace(nothing, reason=reason_of(error))
    return dataclasses.replace(nothing, work_per_repetition=prepared.work, samples_seconds=samples.seconds)
