"""What a run asks before it plans: the machine, the images, what cannot be measured here, and how long a step takes."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.axes import devices as devices_axis
from bench.axes import matrix
from bench.axes.case import Case, why_impossible
from bench.axes.devices import DEVICES, try_out, why_unusable
from bench.measure import calibration, facts, nvml, settings
from bench.measure.clock import Clock
from bench.workers import images, workloads

if TYPE_CHECKING:
    from bench.workers.serve import State


COUNT_SECONDS = 0.1  # of steps of a size with a thread count


def devices(state: State) -> list[str]:
    """The devices that a plan covers if none is chosen."""
    return matrix.devices_here()


def try_devices(state: State) -> dict[str, str | None]:
    """Runs one real operation on every accelerator that is here; by name, why it does not work, None if it does."""
    return {name: try_out(name) for name in DEVICES if name != "cpu" and not DEVICES[name].why_missing()}


def set_aside(state: State, reasons: dict[str, str]) -> None:
    """From now on, the worker uses none of these devices, for these reasons."""
    for name, reason in reasons.items():
        devices_axis.set_aside(name, reason)


def gpu(state: State) -> str | None:
    """The uuid of torch's first GPU, by which NVML knows it; None without one that can be used."""
    return None if why_unusable("cuda") else nvml.gpu_uuid()


def survey(state: State, cases: dict[str, dict[str, Any]], devices: list[str]) -> dict[str, Any]:
    """Facts for the record, and for each case why it cannot be measured here.

    Args:
        state: Has the images; none where it runs a program of the user's own.
        cases: The fields of each case by its id.
        devices: Those whose facts belong into the record.
    """
    train_images = len(state.images.train) if state.images else None
    return {
        "machine": dataclasses.asdict(facts.machine()),
        "environment": facts.environment(devices),
        "dataset": images.facts(state) if state.images else None,
        "threads": settings.default_threads(),
        "gpu": gpu(state),
        "impossible": {id: why_impossible(Case(**case), train_images) for id, case in cases.items()},
    }


def hide_gpus(state: State) -> None:
    """From now on, the worker sees no CUDA GPU, as long as it has used none."""
    os.environ[devices_axis.VISIBLE] = ""


def thread_seconds(state: State) -> dict[str, Any]:
    """Times steps on the CPU with 1, 2, 4 and so on threads up to the usable cores, a tenth of a second each.

    Returns:
        `batches`, and `seconds` by thread count, a number per batch; none where the environment names a count.
    """
    batches = [64, min(4096, len(state.images.train))]
    if os.environ.get("OMP_NUM_THREADS"):
        return {"batches": batches, "seconds": {}}
    cores = settings.usable_cores()
    counts = [count for power in range(cores.bit_length()) if (count := 2**power) < cores] + [cores]
    seconds = {count: [_best_step_seconds(state, batch_size, count) for batch_size in batches] for count in counts}
    return {"batches": batches, "seconds": seconds}


def _best_step_seconds(state: State, batch_size: int, threads: int) -> float:
    repeat, clock = _step(state, "cpu", batch_size, threads)
    clock.time_block(repeat, 2)
    begin, times = clock.now(), list[float]()
    while not times or clock.now() - begin < COUNT_SECONDS:
        times.append(clock.time_block(repeat, 2).host_seconds / 2)
    return min(times)


def _step(state: State, device: str, batch_size: int, threads: int) -> tuple[Callable[[], object], Clock]:
    case = Case(device=device, batch_size=batch_size, threads=threads)
    settings.apply(case)
    return workloads.step(case, state.images).repeat, Clock(DEVICES[device])


def _step_seconds(state: State, device: str, batch_size: int, threads: int) -> float:
    repeat, clock = _step(state, device, batch_size, threads)
    for _ in range(3):
        clock.time_block(repeat, 5)
    return min(clock.time_block(repeat, 10).host_seconds / 10 for _ in range(8))


def rates(state: State, devices: list[str], threads: int) -> dict[str, Any]:
    """Times a few steps of two sizes on each device, and a few batches of the tutorial's loader.

    Args:
        state: Has the images.
        devices: Which.
        threads: CPU threads.

    Returns:
        The fields of `bench.suite.costs.Rates`.
    """
    from fcnn.data import loader

    step_seconds = {}
    small, large = 16, min(4096, len(state.images.train))
    for device in devices:
        seconds = [_step_seconds(state, device, batch_size, threads) for batch_size in (small, large)]
        slope = max(0.0, (seconds[1] - seconds[0]) / (large - small))
        step_seconds[device] = (max(seconds[0] - slope * small, 1e-6), slope)
    batches = iter(loader(state.images.train, 64, shuffle=True))
    next(batches)
    begin = time.perf_counter()
    count = sum(len(labels) for _, labels in itertools.islice(batches, 12))
    per_image = (time.perf_counter() - begin) / max(count, 1)
    emulated = [name for name in facts.NUMBER_FORMATS if facts.has(name) is False]
    return {"step_seconds": step_seconds, "loader_seconds_per_image": per_image, "emulated": emulated}


def calibrate(state: State, devices: list[str], threads: int, precisions: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The calibrations of every device, with the fields of `bench.record.model.Calibration`.

    Args:
        state: Is not used.
        devices: Which.
        threads: CPU threads.
        precisions: By device, those that its cases use.
    """
    timed = [calibration.run(device, threads, set(precisions[device])) for device in devices]
    return [dataclasses.asdict(calibration) for of_device in timed for calibration in of_device]
