"""Yardsticks: fixed probes of the machine, timed in the same run by the same clock.

They say what this machine can do at all (matrix product, copy) and what an operator costs before it does anything
(dispatch, launch), so that a case's time can be set against a floor, and a machine that changed under way is noticed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.axes.devices import DEVICES
from bench.axes.precisions import PRECISIONS, Precision
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.sampling import Rule, measure
from bench.record.model import Yardstick

RULE = Rule(budget_seconds=0.15, warmup_seconds=0.1)


@dataclass(frozen=True)
class Probe:
    """One probe: `make` builds a repetition for a device (by torch's name), `work` is what a repetition does.

    Attributes:
        unit: What the work is counted in: `flop`, `byte` or `call`.
    """

    name: str
    unit: str
    work: Callable[[str], float]
    make: Callable[[str], Callable[[], object]]
    only_on: str | None = None


def _matmul(precision: Precision) -> Probe:
    dtype = getattr(torch, precision.amp_dtype) if precision.amp_dtype else torch.float32

    def make(device: str) -> Callable[[], object]:
        size = _matmul_size(device)
        generator = torch.Generator().manual_seed(0)
        # Random numbers: processors multiply zeros faster than they multiply numbers.
        a, b = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
        # As nn.Linear has its weight. Number formats that the processor lacks are slow in other layouts: on an AVX2
        # EPYC, bfloat16 runs at 21 GFLOP/s like this and at 1 GFLOP/s with b as it is.
        b, out = b.t(), torch.empty_like(a)

        def repeat() -> None:
            torch.set_float32_matmul_precision(precision.float32_matmul)
            torch.mm(a, b, out=out)

        return repeat

    # 2 n^3: a multiplication and an addition for every element of every row and column.
    return Probe(f"matmul_{precision.name}", "flop", lambda device: 2.0 * _matmul_size(device) ** 3, make)


def _matmul_size(device: str) -> int:
    """Large enough to be at the peak rate, small enough for a probe: 2 GFLOP on a CPU, 1 TFLOP on a GPU."""
    return 1024 if device == "cpu" else 8192


COPY_BYTES = {"cpu": 64 * 2**20}  # each of two buffers; on an accelerator 1 GiB, far above its caches
# Each of two buffers; on a CPU together about what an update of the network touches. A GPU copies that in less time
# than a launch takes; there a cache of 50 MB just holds both of 16 MiB, so that it is the bytes that take the time.
CACHED_BYTES = {"cpu": 512 * 2**10}


def _copy(size: Callable[[str], int]) -> Callable[[str], Callable[[], object]]:
    def make(device: str) -> Callable[[], object]:
        source, target = (torch.ones(size(device) // 4, device=device) for _ in range(2))
        return lambda: target.copy_(source)

    return make


def _copy_bytes(device: str) -> int:
    return COPY_BYTES.get(device, 2**30)


def _cached_bytes(device: str) -> int:
    return CACHED_BYTES.get(device, 16 * 2**20)


def _dispatch(device: str) -> Callable[[], object]:
    x = torch.ones((), device="cpu")
    return lambda: x.add_(1.0)


def _launch(device: str) -> Callable[[], object]:
    x = torch.ones((), device=device)
    return lambda: x.add_(1.0)


PROBES = (
    *(_matmul(precision) for precision in PRECISIONS.values()),
    # Read once and written once.
    Probe("copy", "byte", lambda device: 2.0 * _copy_bytes(device), _copy(_copy_bytes)),
    Probe("copy_cached", "byte", lambda device: 2.0 * _cached_bytes(device), _copy(_cached_bytes)),
    Probe("dispatch", "call", lambda device: 1.0, _dispatch, only_on="cpu"),
    Probe("launch", "call", lambda device: 1.0, _launch),
)


@functools.cache
def _repetition(probe: Probe, device: str) -> Callable[[], object]:
    """Made once a process: fresh buffers lie on other pages, and a copy's rate depends on them by half."""
    return probe.make(device)


def run(device: str, threads: int, precisions: set[str]) -> list[Yardstick]:
    """Times every probe that makes sense on `device` with the threads that its cases use.

    Args:
        device: A row of the device axis that is here.
        threads: CPU threads of the matrix product and the copy.
        precisions: Names of the precisions that the run's cases use; other matrix products are not timed.
    """
    settings.use_threads(threads)
    clock, name = Clock(DEVICES[device]), DEVICES[device].torch_name
    found = []
    for probe in PROBES:
        precision = probe.name.removeprefix("matmul_")
        if precision in PRECISIONS and (precision not in precisions or PRECISIONS[precision].why_not(device)):
            continue
        if (probe.only_on or device) != device or (probe.name == "launch" and device == "cpu"):
            continue
        samples = measure(_repetition(probe, name), clock, RULE)
        found.append(
            Yardstick(
                name=probe.name,
                device=device,
                unit=probe.unit,
                work_per_repetition=probe.work(name),
                samples_seconds=samples.seconds,
            )
        )
    torch.set_float32_matmul_precision("highest")
    return found


def joined(before: list[Yardstick], after: list[Yardstick]) -> list[Yardstick]:
    """The yardsticks of a run, with the samples taken after the cases beside those taken before."""
    later = {(y.device, y.name): y.samples_seconds for y in after}
    return [dataclasses.replace(y, after_samples_seconds=later.get((y.device, y.name))) for y in before]
