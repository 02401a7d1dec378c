"""What compiling costs a program that has just started: the first steps of a case in a process of their own.

Only the first compilation of a process pays for the compiler's imports and its precompiled headers, so a case that is
compiled after another in one process seems to compile in a fifth of the time.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.measure import settings
from bench.measure.clock import Clock
from bench.suite.workloads import make_training
from bench.workers.process import WorkerError, answer_requests, ask_module
from fcnn import hyperparameters, train

LIMIT_SECONDS = 600.0  # for one case to be compiled from cold; max-autotune takes minutes on a busy machine


def compile_seconds(case: Case, batch_sizes: Sequence[int], cache: Path) -> float:
    """Seconds that compiling adds to the first steps of a fresh process, of each batch size one.

    Args:
        case: A compiled case, its threads resolved.
        batch_sizes: The sizes that occur in a repetition; each gets a graph of its own.
        cache: An empty folder for the compilers' on-disk caches, of use to later processes.

    Raises:
        WorkerError: It did not compile, or not in time; the message holds the compiler's own error.
    """
    request = {"case": dataclasses.asdict(case), "batch_sizes": list(batch_sizes)}
    try:
        answer = ask_module("bench.suite.cold", request, LIMIT_SECONDS, "compiling", **empty_compiler_caches(cache))
    except WorkerError as error:
        raise WorkerError(f"compiling failed: {error}") from error
    return float(answer)


def empty_compiler_caches(folder: Path) -> dict[str, str]:
    """Variables with which torch's compilers find nothing that was compiled before, and keep what they make.

    Triton's is named as well, since torch names one for the rest of a process when it first compiles for a GPU.
    """
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "TRITON_CACHE_DIR": str(folder / "triton")}


@contextmanager
def compiler_cache(cache: Path) -> Iterator[None]:
    """Forgets every compiled graph of this process before and after, and keeps new ones in `cache`."""
    variables = empty_compiler_caches(cache)
    before = {name: os.environ.get(name) for name in variables}
    torch._dynamo.reset()
    os.environ.update(variables)
    try:
        yield
    finally:
        torch._dynamo.reset()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def first_steps(asked: dict[str, Any]) -> float:
    """Answers `{"case", "batch_sizes"}`."""
    case = Case(**asked["case"])
    settings.apply(case)
    training, clock = make_training(case), Clock(DEVICES[case.device])
    seconds = 0.0
    for batch_size in asked["batch_sizes"]:
        images = torch.rand(batch_size, hyperparameters.REFERENCE.input_size)
        labels = torch.randint(hyperparameters.REFERENCE.num_classes, (batch_size,))
        times = [clock.time_block(lambda: train.train_step(training, images, labels), 1).host_seconds for _ in range(5)]  # noqa: B023 - called at once
        seconds += sum(times) - len(times) * min(times)  # with CUDA graphs, it is the second step that records them
    return seconds


if __name__ == "__main__":
    answer_requests(first_steps)
