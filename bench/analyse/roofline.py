"""The roofline bound: the least time that a case can take on this machine, and how far above it is.

After the roofline model (Williams, Waterman and Patterson, Communications of the ACM 52, 2009), with ceilings that are
measured in the same run instead of read off a data sheet. That model knows arithmetic and bytes. A GPU that does little
at a time waits for neither: a step needs the weights of the step before it, and the soonest that all of a GPU can go on
with what all of it has done is the next kernel of a CUDA graph or the next barrier within one kernel. So many of the
quicker of the two as there are steps are a bound as well, for all programs that spread a step over the GPU.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from bench.analyse.once import once_a_record
from bench.axes.workloads import workload
from bench.record.measurement import CaseFields, Counters, Measurement
from bench.record.model import Calibration, Record

PIXELS, FLOAT_BYTES, LABEL_BYTES = 784, 4, 8
LATENCIES = ("graph_node", "grid_barrier")  # calibrations of what lies between a step and the next
COMPUTE, MEMORY = "compute", "memory"


@dataclass(frozen=True)
class Roofline:
    """Lower bounds of one repetition, in seconds, by what sets them.

    Attributes:
        compute_seconds: FLOPs over the matrix-product peak of the case's precision.
        images_seconds: The images' and labels' bytes over the copy bandwidth.
        update_seconds: The bytes of parameters, gradients and optimizer state that the update reads and writes, over
            the bandwidth inside the cache.
        flops: Floating-point operations of a repetition.
        peak_flops_per_second: The measured peak that `compute_seconds` used.
        latency_seconds: The steps, each of which waits for the one before, at the price of `latency`; 0 on a CPU, and
            where neither was timed.
        latency: The quicker calibration of `LATENCIES`; None where `latency_seconds` is 0.
    """

    compute_seconds: float
    images_seconds: float
    update_seconds: float
    flops: int
    peak_flops_per_second: float
    latency_seconds: float = 0.0
    latency: str | None = None

    @property
    def memory_seconds(self) -> float:
        """The bytes that must move, at the measured bandwidths."""
        return self.images_seconds + self.update_seconds

    @property
    def seconds(self) -> float:
        """The largest bound: arithmetic, transfer and waiting can overlap, none can be skipped."""
        return max(self.compute_seconds, self.memory_seconds, self.latency_seconds)

    @property
    def bound(self) -> str:
        """Which bound that is: `compute`, `memory`, or the name of a calibration of `LATENCIES`."""
        if self.latency and self.latency_seconds == self.seconds:
            return self.latency
        return COMPUTE if self.compute_seconds == self.seconds else MEMORY

    def times_above(self, seconds: float) -> float:
        """How many times the roofline bound `seconds` is: "× roofline"."""
        return seconds / self.seconds

    def share_of_peak(self, seconds: float) -> float:
        """The fraction of the peak rate at which a repetition of `seconds` computes; above 1 is impossible."""
        return self.compute_seconds / seconds


def rate(calibrations: list[Calibration], device: str, name: str) -> float | None:
    """The best rate a calibration showed, in its unit a second; None if it was not timed.

    The fastest sample, before or after: a ceiling that a lucky moment reaches is still below the machine's own.
    """
    timed = _timed(calibrations, device, name)
    if not timed:
        return None
    samples = [*timed[0].samples_seconds, *(timed[0].after_samples_seconds or [])]
    return timed[0].work_per_repetition / min(samples)


def _timed(calibrations: list[Calibration], device: str, name: str) -> list[Calibration]:
    return [y for y in calibrations if (y.device, y.name) == (device, name) and y.samples_seconds]


def cost(calibrations: list[Calibration], device: str, name: str) -> float | None:
    """The median seconds of one call, of the quieter of a calibration's two probes; None if it was not timed."""
    timed = _timed(calibrations, device, name)
    if not timed:
        return None
    probes = [samples for samples in (timed[0].samples_seconds, timed[0].after_samples_seconds) if samples]
    return min(map(statistics.median, probes)) / timed[0].work_per_repetition


def latency(calibrations: list[Calibration], device: str) -> tuple[float, str] | None:
    """Least seconds between two steps that all of a GPU takes part in, and the calibration; None if none was timed."""
    rates = {name: rate(calibrations, device, name) for name in LATENCIES}
    candidates = [(1 / per_second, name) for name, per_second in rates.items() if per_second]
    return min(candidates) if candidates else None


def why_no_latency(calibrations: list[Calibration], device: str) -> str | None:
    """Why some calibration of `LATENCIES` is not known, a sentence's part each; None if all are, or none was asked."""
    unknown = [y for y in calibrations if y.device == device and y.name in LATENCIES and y.reason]
    return "; ".join(f"{y.name} is not known: {y.reason}" for y in unknown) or None


@once_a_record
def roofline(measurement: Measurement, record: Record) -> Roofline | None:
    """The roofline bound of a measured case; None if its counters or the calibrations that it needs are missing."""
    m = measurement
    return roofline_of(m.case, m.counters, m.images_per_repetition or 0, m.steps_per_epoch or 1, record.calibrations)


def roofline_of(
    case: CaseFields, counters: Counters | None, images: int, steps: int, calibrations: list[Calibration]
) -> Roofline | None:
    """The roofline bound of a case.

    Args:
        case: What is run.
        counters: Of a repetition; of an epoch or a training, of one of its steps.
        images: That a repetition trains on.
        steps: A repetition.
        calibrations: Of the same run.
    """
    if workload(case.workload).own:  # its number format is its own
        return None
    peak = rate(calibrations, case.device, f"matmul_{case.precision}")
    copy, cached = (rate(calibrations, case.device, name) for name in ("copy", "copy_cached"))
    if counters is None or peak is None or copy is None or cached is None:
        return None
    # The last step's smaller batch computes less.
    flops = counters.flops if steps == 1 else round(counters.flops * images / case.batch_size)
    updated = 0
    if workload(case.workload).update:
        parameters, gradients = counters.parameter_bytes or 0, counters.gradient_bytes or 0
        # Adam reads parameters, gradients and both moments and writes all but the gradients.
        updated = 2 * parameters + gradients + 2 * (counters.optimizer_state_bytes or 0)
    wait, named = latency(calibrations, case.device) or (0.0, None)
    # The copy calibration counts a byte read and a byte written; reading alone is half of a copy.
    return Roofline(
        compute_seconds=flops / peak,
        images_seconds=images * (PIXELS * FLOAT_BYTES + LABEL_BYTES) / copy,
        update_seconds=steps * updated / cached,
        flops=flops,
        peak_flops_per_second=peak,
        latency_seconds=steps * wait,
        latency=named,
    )
