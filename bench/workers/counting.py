"""What the gate asks one side of a comparison: exact counts, compilations, and accuracies."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from bench.axes.case import Case
from bench.axes.compilers import path_why_not
from bench.axes.devices import DEVICES
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.compilation import compilations
from bench.measure.counters import count
from bench.workers import workloads
from fcnn import data, train

if TYPE_CHECKING:
    from bench.workers.serve import State


def count_case(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """The exact counters of a case's repetition."""
    return _counted(state, case, None)


def count_evaluation(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """The exact counters of an evaluation on the test images, of the case's model."""

    def evaluation(prepared: Any) -> Callable[[], object]:
        batches = workloads.evaluation_batches(state.images, case["device"])["test"]
        return functools.partial(train.evaluate, prepared.training.model, batches, prepared.training.device)

    return _counted(state, case, evaluation)


def _counted(state: State, case: dict[str, Any], other: Callable[[Any], Callable[[], object]] | None) -> dict[str, Any]:
    built = Case(**case)
    settings.apply(built)
    prepared = workloads.BUILDERS[built.workload](built, state.images)
    repeat = other(prepared) if other else prepared.counted
    return dataclasses.asdict(count(repeat, prepared.training, Clock(DEVICES[built.device])))


def count_compilations(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """Graphs, breaks and recompilations in steps of a whole and of a last, smaller batch; nothing is generated."""
    if reason := path_why_not():
        raise RuntimeError(reason)
    built = Case(**case)
    settings.apply(built)
    pixels, labels = state.images.train.data, state.images.train.targets
    with compilations() as compiled:
        training = train.make_training(
            torch.device(DEVICES[built.device].torch_name),
            wrap=lambda model: torch.compile(model, backend="eager", dynamic=False),  # type: ignore[arg-type, return-value]
        )
        for size in (*[built.batch_size] * 4, built.batch_size // 2, built.batch_size):
            train.train_step(training, pixels[:size].unsqueeze(1).float().div(255), labels[:size])
    if not compiled.graphs:
        raise RuntimeError("torch.compile made no graph; is it switched off, as by TORCHDYNAMO_DISABLE=1?")
    return {name: value if isinstance(value, int) else len(value) for name, value in vars(compiled).items()} | {
        "reasons": [*compiled.graph_break_reasons, *compiled.recompile_reasons]
    }


def train_seeds(
    state: State, seeds: list[int], batch_size: int, epochs: int, threads: int, device: str = "cpu"
) -> list[float]:
    """Test accuracies after so many epochs, a seed each, with the side's own loop, order of images and evaluation."""
    settings.use_threads(threads)
    accuracies = []
    test = data.TensorBatches(*data.as_tensors(state.images.test), 2048, shuffle=False)
    pixels, labels = data.as_tensors(state.images.train)
    for seed in seeds:
        training = train.make_training(torch.device(DEVICES[device].torch_name), seed)
        batches = data.TensorBatches(pixels, labels, batch_size, shuffle=True, seed=seed)
        for _ in range(epochs):
            train.train_epoch(training, batches)
        accuracies.append(train.evaluate(training.model, test, training.device))
    return accuracies
