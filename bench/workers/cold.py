"""What is asked of a process that has just started: how long starting takes it, what compiling costs, predictions.

Only the first compilation of a process pays for the compiler's imports and its precompiled headers, so a case that is
compiled after another in one process seems to compile in a fifth of the time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.axes.feeds import FEEDS, resident
from bench.measure import settings
from bench.measure.clock import Clock
from bench.workers import training, workloads
from bench.workers.images import find
from bench.workers.process import empty_compiler_caches
from fcnn import hyperparameters, train

if TYPE_CHECKING:
    from bench.workers.serve import State


def use_cache(folder: str) -> None:
    """From now on, what is compiled is looked for in `folder` first and kept there."""
    os.environ.update(empty_compiler_caches(Path(folder)))


def first_steps(state: State, case: dict[str, Any], batch_sizes: list[int]) -> float:
    """Seconds that compiling adds to the first steps, of each batch size one: each gets a graph of its own."""
    built = Case(**case)
    settings.apply(built, as_a_user=True)
    training, clock = workloads.make_training(built), Clock(DEVICES[built.device])
    seconds = 0.0
    for batch_size in batch_sizes:
        images = torch.rand(batch_size, hyperparameters.REFERENCE.input_size)
        labels = torch.randint(hyperparameters.REFERENCE.num_classes, (batch_size,))
        times = [clock.time_block(lambda: train.train_step(training, images, labels), 1).host_seconds for _ in range(5)]  # noqa: B023 - called at once
        seconds += sum(times) - len(times) * min(times)  # with CUDA graphs, it is the second step that records them
    return seconds


def start_up(state: State, case: dict[str, Any], dataset: str, data: str | None, asked_at: float) -> dict[str, Any]:
    """What it takes from nothing to the target's accuracy, in the order in which it is paid.

    Args:
        state: May hold the images; a fresh worker finds them itself.
        case: The fields of an accuracy case, with its threads resolved.
        dataset: As `bench.workers.images.find` takes it.
        data: The same.
        asked_at: `time.monotonic()` when the process was asked for; it is the system's clock, one for all processes.

    Returns:
        The fields of `bench.record.measurement.StartUp`.
    """
    imported = time.monotonic() - asked_at
    built = Case(**case)
    settings.apply(built, as_a_user=True)
    clock = Clock(DEVICES[built.device])
    begin = clock.now()
    images = state.images or find(dataset, data)
    resident(images)
    loaded = clock.now() - begin
    context = _context_seconds(clock)
    name = DEVICES[built.device].torch_name
    device = clock.time_block(lambda: torch.ones(1, device=name) + 1, 1).host_seconds
    begin = clock.now()
    fresh = workloads.make_training(built)
    first = next(iter(FEEDS[built.feed].batches(images, built, workloads.SEED)))
    learn = workloads.learning(built, fresh)
    clock.time_block(lambda: learn([first]), 1)
    first_step = clock.now() - begin
    evaluation = workloads.evaluation_batches(images, built.device)
    trained = training.train_from(workloads.SEED, fresh, learn, built, images, clock, evaluation)
    return {
        "import_seconds": imported,
        "images_seconds": loaded,
        "context_seconds": context,
        "device_seconds": device,
        "first_step_seconds": first_step,
        "training_seconds": trained.seconds_to_target,
    }


def _context_seconds(clock: Clock) -> float | None:
    """Until a CUDA device can be used; None elsewhere.

    By itself, since a block's time begins after the device has been waited for, which makes the context.
    """
    if clock.device.torch_name != "cuda":
        return None
    begin = clock.now()
    torch.cuda.init()
    clock.device.synchronize()
    return clock.now() - begin


def many_steps(state: State, case: dict[str, Any], steps: int, dataset: str, data: str) -> float:
    """Seconds of so many steps, compiling included."""
    built = Case(**case)
    settings.apply(built, as_a_user=True)
    repeat = workloads.step(built, find(dataset, data)).repeat
    return Clock(DEVICES[built.device]).time_block(repeat, steps).host_seconds
