"""One side in a process of its own: the candidate's harness on the `fcnn` of a given folder.

Forked from a process that has imported torch and no `fcnn`, so that both sides have the same memory layout and neither
pays for the import. Answers requests, one JSON line each, until its input ends.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from bench.errors import reason_of
from bench.workers.program import import_from

WARM_STEPS = 40


def serve(tree: str, images: Any, requests: IO[str], answers: IO[str]) -> None:
    """Answers every request with `{"value": ...}` or `{"error": ...}`.

    Args:
        tree: Folder whose `fcnn` is measured.
        images: (training pixels uint8 [n, 28, 28], labels [n], test pixels, test labels).
        requests: Lines `[name, arguments]`; see `REQUESTS`.
        answers: Where the answers go.
    """
    import_from(Path(tree))
    side = Side(images)
    for line in requests:
        name, arguments = json.loads(line)
        try:
            answer: dict[str, Any] = {"value": REQUESTS[name](side, **arguments)}
        except Exception as error:
            answer = {"error": reason_of(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Side:
    """What a worker keeps between requests."""

    def __init__(self, images: Any) -> None:
        self.repeat: Callable[[], object] | None = None
        self.clock: Any = None
        train, train_labels, test, test_labels = images
        self.images = Both(Dataset(train, train_labels), Dataset(test, test_labels))


class Both:
    """As much of `fcnn.data.Images` as the suite's workloads need."""

    def __init__(self, train: Dataset, test: Dataset) -> None:
        self.train, self.test = train, test


class Dataset:
    """As much of a torchvision dataset as the suite's workloads need."""

    def __init__(self, data: Any, targets: Any) -> None:
        self.data, self.targets = data, targets

    def __len__(self) -> int:
        return len(self.targets)


def prepare(side: Side, case: dict[str, Any], core: int | None = None) -> None:
    """Builds a case's repetition and warms it up, on `core` alone if given; no garbage is collected from then on."""
    from bench.axes.case import Case
    from bench.axes.devices import DEVICES
    from bench.measure import settings
    from bench.measure.clock import Clock
    from bench.suite import workloads

    built = Case(**case)
    settings.apply(built)
    side.clock = Clock(DEVICES[built.device])
    side.repeat = workloads.BUILDERS[built.workload](built, side.images).repeat  # type: ignore[arg-type]
    if core is not None:
        os.sched_setaffinity(0, {core})
    for _ in range(WARM_STEPS):
        side.repeat()
    gc.collect()
    gc.disable()


def chunk(side: Side, repetitions: int) -> float:
    """Seconds of a chunk of the prepared case."""
    assert side.repeat is not None
    return float(side.clock.time_block(side.repeat, repetitions).host_seconds)


def observe_case(side: Side, case: dict[str, Any]) -> dict[str, Any]:
    """What the suite sees of a case in this process: samples, counters, and the flags that bar it from comparisons."""
    from bench.analyse.trust import HARMLESS
    from bench.axes.case import Case
    from bench.measure import settings
    from bench.suite.expected import Effort
    from bench.suite.observe import observe

    built = Case(**case)
    settings.apply(built)
    seen = observe(built, side.images, Effort())  # type: ignore[arg-type]
    return {
        "samples_seconds": seen.samples.seconds,
        "counters": dataclasses.asdict(seen.counters),
        "flags": [flag.name for flag in seen.flags if flag.name not in HARMLESS],
    }


def time_yardsticks(side: Side, device: str, threads: int, precisions: list[str]) -> dict[str, list[float]]:
    """The samples of the device's yardsticks, in seconds a repetition."""
    from bench.measure import yardsticks

    return {y.name: y.samples_seconds for y in yardsticks.run(device, threads, set(precisions))}


def count_case(side: Side, case: dict[str, Any]) -> dict[str, Any]:
    """The exact counters of a case's repetition."""
    return _counted(side, case, None)


def count_evaluation(side: Side, case: dict[str, Any]) -> dict[str, Any]:
    """The exact counters of an evaluation on the test images, of the case's model."""
    from bench.suite import workloads
    from fcnn import train

    def evaluation(prepared: Any) -> Callable[[], object]:
        batches = workloads.evaluation_batches(side.images, case["device"])["test"]  # type: ignore[arg-type]
        return functools.partial(train.evaluate, prepared.training.model, batches, prepared.training.device)

    return _counted(side, case, evaluation)


def _counted(side: Side, case: dict[str, Any], other: Callable[[Any], Callable[[], object]] | None) -> dict[str, Any]:
    from bench.axes.case import Case
    from bench.axes.devices import DEVICES
    from bench.measure import settings
    from bench.measure.clock import Clock
    from bench.measure.counters import count
    from bench.suite import workloads

    built = Case(**case)
    settings.apply(built)
    prepared = workloads.BUILDERS[built.workload](built, side.images)  # type: ignore[arg-type]
    repeat = other(prepared) if other else prepared.counted
    return dataclasses.asdict(count(repeat, prepared.training, Clock(DEVICES[built.device])))


def count_compilations(side: Side, case: dict[str, Any]) -> dict[str, Any]:
    """Graphs, breaks and recompilations in steps of a whole and of a last, smaller batch; nothing is generated."""
    import torch

    from bench.axes.case import Case
    from bench.axes.compilers import path_why_not
    from bench.axes.devices import DEVICES
    from bench.measure import settings
    from bench.measure.compilation import compilations
    from fcnn import train

    if reason := path_why_not():
        raise RuntimeError(reason)
    built = Case(**case)
    settings.apply(built)
    pixels, labels = side.images.train.data, side.images.train.targets
    with compilations() as found:
        training = train.make_training(
            torch.device(DEVICES[built.device].torch_name),
            wrap=lambda model: torch.compile(model, backend="eager", dynamic=False),  # type: ignore[arg-type, return-value]
        )
        for size in (*[built.batch_size] * 4, built.batch_size // 2, built.batch_size):
            train.train_step(training, pixels[:size].unsqueeze(1).float().div(255), labels[:size])
    if not found.graphs:
        raise RuntimeError("torch.compile made no graph; is it switched off, as by TORCHDYNAMO_DISABLE=1?")
    return {name: value if isinstance(value, int) else len(value) for name, value in vars(found).items()} | {
        "reasons": [*found.graph_break_reasons, *found.recompile_reasons]
    }


def train_seeds(side: Side, seeds: list[int], batch_size: int, epochs: int, threads: int) -> list[float]:
    """Test accuracies after so many epochs, a seed each, with the side's own loop, order of images and evaluation."""
    import torch

    from bench.measure import settings
    from fcnn import data, train

    settings.use_threads(threads)
    found = []
    test = data.TensorBatches(*data.as_tensors(side.images.test), 2048, shuffle=False)
    pixels, labels = data.as_tensors(side.images.train)
    for seed in seeds:
        training = train.make_training(torch.device("cpu"), seed)
        batches = data.TensorBatches(pixels, labels, batch_size, shuffle=True, seed=seed)
        for _ in range(epochs):
            train.train_epoch(training, batches)
        found.append(train.evaluate(training.model, test, training.device))
    return found


REQUESTS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "chunk": chunk,
    "observe": observe_case,
    "yardsticks": time_yardsticks,
    "count": count_case,
    "count_evaluation": count_evaluation,
    "compilations": count_compilations,
    "train": train_seeds,
}
