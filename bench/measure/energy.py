"""Joules a repetition, by the hardware's own counter where it has one and lets it be read.

A counter is read before and after a window of repetitions in which nothing else is timed. NVML updates its counter
every few tens of milliseconds and a processor's covers all of its cores, so windows are long, and short ones are not
reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure.clock import Clock
from bench.record.model import Energy

WINDOW_SECONDS = 2.0
POWERCAP = Path("/sys/class/powercap")
GPU, CPU = "NVML total energy of the GPU", "RAPL package energy of the processor"


class MeterError(Exception):
    """A counter that is not there or not to be read. The message says why, for people."""


@dataclass(frozen=True)
class Meter:
    """An energy counter of a device (by torch's name).

    Attributes:
        joules: Joules since some moment in the past; raises MeterError.
        wraps_at_joules: Where the counter starts anew from 0; infinity if it does not.
    """

    name: str
    device: str
    joules: Callable[[], float]
    wraps_at_joules: Callable[[], float] = lambda: math.inf


def _nvml_joules() -> float:
    try:
        import pynvml
    except ImportError as error:
        raise MeterError(f"NVML is not installed: {error}") from error
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3  # it counts in millijoules
    except pynvml.NVMLError as error:
        raise MeterError(f"NVML has no energy counter to read: {error}") from error


def _package_files(file: str) -> list[Path]:
    """A file of every processor package; their names are `intel-rapl:0` and so on, on AMD as well."""
    return sorted(POWERCAP.glob(f"intel-rapl:[0-9]*/{file}"), key=str)


def _packages_sum(file: str) -> float:
    packages = [path for path in _package_files(file) if path.parent.name.count(":") == 1]
    if not packages:
        raise MeterError("this system shows no energy counter of the processor (RAPL), as virtual machines do not")
    try:
        return sum(int(path.read_text()) for path in packages) / 1e6  # they count in microjoules
    except (OSError, ValueError) as error:
        raise MeterError(f"the processor's energy counter cannot be read: {error}") from error


METERS = (
    Meter(GPU, "cuda", _nvml_joules),
    Meter(CPU, "cpu", lambda: _packages_sum("energy_uj"), lambda: _packages_sum("max_energy_range_uj")),
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
    """The mean joules of `repeat`, which takes about `seconds`, over a window of 2 s or more."""
    device = clock.device.torch_name
    if reason := why_not(device):
        return Energy(None, None, None, f"not measurable here: {reason}")
    meter = next(meter for meter in METERS if meter.device == device)
    repetitions = math.ceil(1.25 * WINDOW_SECONDS / seconds)
    before = meter.joules()
    window = clock.time_block(repeat, repetitions).host_seconds
    joules = meter.joules() - before
    if joules < 0:
        joules += meter.wraps_at_joules()
    if window < WINDOW_SECONDS:
        return Energy(None, None, None, f"the window of {window:.2f} s is too short for {meter.name}")
    if joules <= 0:
        return Energy(None, None, None, f"{meter.name} did not move in {window:.1f} s")
    return Energy(joules / repetitions, window, meter.name, None)
