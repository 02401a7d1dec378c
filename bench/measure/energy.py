"""Joules per repetition, by the hardware's own counter where it has one and lets it be read.

A counter is read before and after a window of repetitions in which nothing else is timed. NVML updates its counter
every few tens of milliseconds and a processor's covers all of its cores, so windows are long, and short ones are not
reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import nvml
from bench.measure.clock import Clock
from bench.record.measurement import Energy

WINDOW_SECONDS = 2.0
POWERCAP = Path("/sys/class/powercap")
GPU, CPU = "NVML total energy of the GPU", "RAPL package energy of the processor"


class MeterError(Exception):
    """A counter that is not there or not to be read. The message says why, for people."""


@dataclass(frozen=True)
class Meter:
    """The energy counters of a device (by torch's name).

    Attributes:
        joules: Joules since some moment in the past, of each counter; raises MeterError.
        wraps_at_joules: Where each of them starts anew from 0.
    """

    name: str
    device: str
    joules: Callable[[], list[float]]
    wraps_at_joules: Callable[[], list[float]]

    def joules_since(self, before: list[float]) -> float:
        """Joules of all counters since they showed `before`; each may have started anew once."""
        pairs = zip(self.joules(), before, self.wraps_at_joules(), strict=True)
        return sum(now - then if now >= then else now - then + wrap for now, then, wrap in pairs)


def _nvml_joules() -> list[float]:
    try:
        # It counts in millijoules.
        return [nvml.ask(lambda pynvml, gpu: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1e3]
    except nvml.NvmlError as error:
        raise MeterError(f"NVML has no energy counter to read: {error}") from error


def _packages(file: str) -> list[float]:
    """A file of every processor package, in joules.

    A package's folder is `intel-rapl:0` and so on, on AMD as well. Beside it lie those of its parts, and on laptops
    that of the whole platform, which counts the package once more; their `name` tells them apart.
    """
    try:
        names = sorted(POWERCAP.glob("intel-rapl:*/name"))
        packages = [path.parent for path in names if path.read_text().startswith("package")]
        joules = [int((package / file).read_text()) / 1e6 for package in packages]  # they count in microjoules
    except (OSError, ValueError) as error:
        raise MeterError(f"the processor's energy counter cannot be read: {error}") from error
    if not joules:
        raise MeterError("this system shows no energy counter of the processor (RAPL), as virtual machines do not")
    return joules


METERS = (
    Meter(GPU, "cuda", _nvml_joules, lambda: [0.0]),  # it never starts anew
    Meter(CPU, "cpu", lambda: _packages("energy_uj"), lambda: _packages("max_energy_range_uj")),
)


def why_not(device: str) -> str | None:
    """Why energy is not measurable on a device (by torch's name) here; None if it is."""
    meter = next((meter for meter in METERS if meter.device == device), None)
    if meter is None:
        return f"there is no energy counter for {device}"
    try:
        meter.joules()
    except MeterError as error:
        return str(error)
    return None


def measure_energy(repeat: Callable[[], object], clock: Clock, seconds: float) -> Energy:
    """The mean joules of `repeat`, which takes about `seconds`, over a window of 2 s or more.

    On a GPU also those of the host's processor, which launches the kernels, where it has a counter.
    """
    device = clock.device.torch_name
    if reason := why_not(device):
        return Energy(None, None, None, f"not measurable here: {reason}")
    meter = next(meter for meter in METERS if meter.device == device)
    host = next((meter for meter in METERS if meter.device == "cpu" != device), None)
    host_reason = why_not("cpu") if host else None
    repetitions = math.ceil(1.25 * WINDOW_SECONDS / seconds)
    try:
        host_before = host.joules() if host and not host_reason else None
        before = meter.joules()
        window = clock.time_block(repeat, repetitions).host_seconds
        joules = meter.joules_since(before)
        host_joules = host.joules_since(host_before) if host and host_before is not None else None
    except MeterError as error:
        return Energy(None, None, None, f"the counter was lost: {error}")
    if window < WINDOW_SECONDS:
        return Energy(None, None, None, f"the window of {window:.2f} s is too short for {meter.name}")
    if joules <= 0:
        return Energy(None, None, None, f"{meter.name} did not move in {window:.1f} s")
    if host and host_joules is not None and host_joules <= 0:
        host_joules, host_reason = None, f"{host.name} did not move in {window:.1f} s"
    of_host = None if host_joules is None else host_joules / repetitions
    return Energy(joules / repetitions, window, meter.name, None, of_host, host_reason)
