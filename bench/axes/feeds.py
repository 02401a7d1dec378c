"""The feed axis: how images reach the training step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.axes.devices import DEVICES

if TYPE_CHECKING:
    from torch import Tensor

    from bench.axes.case import Case
    from fcnn.data import Images

    class Batches(Protocol):
        """All training images an iteration, as (images, labels)."""

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

        def __len__(self) -> int:
            """Batches an iteration."""


@dataclass(frozen=True)
class Feed:
    """A source of batches.

    Attributes:
        batches: Makes a re-iterable of shuffled (images, labels), all training images an iteration.
        why_not: The reason why it makes no sense for a device (by name), or None.
    """

    name: str
    meaning: str
    batches: Callable[[Images, Case, int], Batches]
    why_not: Callable[[str], str | None] = lambda device: None


def _loader(images: Images, case: Case, seed: int) -> Batches:
    from fcnn.data import loader

    return loader(
        images.train,
        case.batch_size,
        shuffle=True,
        seed=seed,
        num_workers=case.num_workers,
        pin_memory=case.pin_memory,
    )


def _resident(images: Images, case: Case, seed: int) -> Batches:
    return _tensors(images, case, seed, "cpu")


def _device_resident(images: Images, case: Case, seed: int) -> Batches:
    return _tensors(images, case, seed, DEVICES[case.device].torch_name)


@functools.lru_cache(maxsize=1)
def resident(images: Images) -> tuple[Tensor, Tensor]:
    """The training images as tensors, converted once for all cases: float32 [n, 1, 28, 28] in 0..1, and labels [n]."""
    from fcnn.data import as_tensors

    return as_tensors(images.train)


@functools.lru_cache(maxsize=1)
def shuffled(images: Images) -> tuple[Tensor, Tensor]:
    """The same in one fixed order of chance, so that the beginning is images of all classes."""
    import torch

    pixels, labels = resident(images)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return pixels[order], labels[order]


def _tensors(images: Images, case: Case, seed: int, where: str) -> Batches:
    from fcnn.data import TensorBatches

    pixels, labels = resident(images)
    return TensorBatches(pixels.to(where), labels.to(where), case.batch_size, shuffle=True, seed=seed)


FEEDS = {
    row.name: row
    for row in (
        Feed("loader", "the tutorial's DataLoader: decoded and collated image by image", _loader),
        Feed("resident", "one float tensor in host memory, gathered by index", _resident),
        Feed(
            "device",
            "one float tensor in device memory, gathered there",
            _device_resident,
            lambda device: "host memory is the CPU's device memory: see resident" if device == "cpu" else None,
        ),
    )
}
