"""The images that a worker works on, as a forge holds them for all of its workers.

Memory that a forked process only reads it shares with the forge: the images are there once, also as numbers.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.axes import feeds
from bench.errors import USAGE, BenchError

if TYPE_CHECKING:
    from bench.workers.serve import State
    from fcnn.data import Images

EMBEDDED = "embedded"


class Both:
    """As much of `fcnn.data.Images` as workloads need, made without any `fcnn`."""

    def __init__(self, train: ArrayDataset, test: ArrayDataset) -> None:
        self.train, self.test = train, test


class ArrayDataset:
    """As much of a torchvision dataset as workloads need."""

    def __init__(self, data: Any, targets: Any) -> None:
        self.data, self.targets = data, targets

    def __len__(self) -> int:
        return len(self.targets)


def held(dataset: str | None = None, data: str | None = None, file: str | None = None) -> Any:
    """What a forge holds; nothing for a program of the user's own, which has its own images.

    Args:
        dataset: One of `fcnn.data.DATASETS`, or `EMBEDDED`; with this harness's `fcnn`, which all workers then use.
        data: The data root; None for the usual one.
        file: In place of both, tensors: training pixels uint8 [n, 28, 28], labels [n], and the same for testing. Then
            nothing of `fcnn` is imported, and every worker may take another one.
    """
    if file is not None:
        import torch

        train, train_labels, test, test_labels = torch.load(file)
        return Both(ArrayDataset(train, train_labels), ArrayDataset(test, test_labels))
    if dataset is None:
        return None
    images = find(dataset, data)
    feeds.resident(images)
    feeds.shuffled(images)
    return images


def hold(state: State, **images: str | None) -> None:
    """A request to a worker that was not forked: takes the images itself."""
    state.images = held(**images)


def find(dataset: str, data: str | None) -> Images:
    """The verified images; raises BenchError if they cannot be had or trusted."""
    from fcnn.data import DataError, embedded_images, load_images

    try:
        if dataset == EMBEDDED:
            return embedded_images("asked for")
        return load_images(dataset, Path(data) if data else None, lambda line: None)
    except DataError as error:
        raise BenchError(str(error), USAGE) from error


@functools.cache
def images(dataset: str, data: Path | None) -> Images:
    """The verified images, loaded once a process, for a command that works on them itself.

    Raises:
        BenchError: They cannot be had or trusted.
    """
    from bench.measure import settings
    from fcnn.data import DataError, load_images

    settings.use_threads(settings.default_threads())
    try:
        return load_images(dataset, data)
    except DataError as error:
        raise BenchError(str(error), USAGE) from error


def requested(images: Images, dataset: str, data: Path | None) -> dict[str, str]:
    """For a request: which images, those that this process has found and a worker need not look for again."""
    from fcnn.source import data_root

    return {"dataset": EMBEDDED if images.fallback_reason else dataset, "data": str(data_root(data).resolve())}


def facts(state: State) -> dict[str, Any]:
    """Which images these are, with the fields of `bench.record.model.Dataset`."""
    images = state.images
    return {
        "name": images.name,
        "label": images.label,
        "sha256": images.sha256,
        "train_images": len(images.train),
        "test_images": len(images.test),
        "fallback_reason": images.fallback_reason,
    }
