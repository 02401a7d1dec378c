"""The images, in two forms: the tutorial's DataLoader over a torchvision dataset, and one tensor in memory."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fcnn.download import DownloadError
from fcnn.idx import DataError
from fcnn.output import show
from fcnn.source import DATASETS, Pair, data_root, embedded_pairs, load_pairs, torchvision_datasets

__all__ = ["DATASETS", "DataError", "Images", "TensorBatches", "as_tensors", "embedded_images", "load_images", "loader"]


@dataclass(frozen=True)
class Images:
    """A dataset, found and verified.

    Attributes:
        name: `MNIST` and its relatives, or `MNIST-5k` for the embedded images.
        label: The same for people, with the number of images.
        train: torchvision dataset; an item is a float image [1, 28, 28] in 0..1 and its class number.
        test: The same for testing.
        sha256: Digest of all pixels and labels: which images a result was obtained with.
        fallback_reason: Why these are not the images that were asked for; None if they are.
    """

    name: str
    label: str
    train: Any
    test: Any
    sha256: str
    fallback_reason: str | None = None


def load_images(dataset: str = "MNIST", root: Path | None = None, say: Callable[[str], None] | None = None) -> Images:
    """Finds, verifies and, if need be, downloads a dataset; without a network, MNIST's embedded 5,000 images.

    Args:
        dataset: One of `DATASETS`.
        root: Data root in torchvision's layout; else FCNN_DATA, else the user's cache folder.
        say: Receives a line when something is downloaded or replaced; prints to stderr by default.

    Raises:
        DataError: The files there are corrupt, or nothing could be had.
    """
    say = say or (lambda line: show(line, sys.stderr))
    if dataset not in DATASETS:
        raise DataError(f"there is no dataset called {dataset!r}; choose one of {', '.join(DATASETS)}")
    try:
        return _images(dataset, *load_pairs(dataset, data_root(root), say))
    except DownloadError as error:
        if dataset != "MNIST":
            raise
        reason = str(error)
    images = embedded_images(reason)
    say(f"{reason}: using {images.label}")
    return images


def embedded_images(reason: str) -> Images:
    """The 5,000 MNIST images that need no network, and the `reason` why it is these.

    Raises:
        DataError: The package that ships them, or its file, is missing.
    """
    return _images("MNIST-5k", *embedded_pairs(), fallback_reason=reason)


def _images(name: str, train: Pair, test: Pair, fallback_reason: str | None = None) -> Images:
    digest = hashlib.sha256()
    for tensor in (*train, *test):
        digest.update(tensor.contiguous().numpy().tobytes())
    label = f"{name}: {len(train[1]):,} training and {len(test[1]):,} test images"
    label += ", all from MNIST's training set" if fallback_reason else ""
    return Images(name, label, _dataset(*train), _dataset(*test), digest.hexdigest(), fallback_reason)


def _dataset(images: Tensor, labels: Tensor) -> Any:
    """The MNIST dataset of torchvision over tensors that are verified already, with the tutorial's ToTensor."""
    datasets = torchvision_datasets()
    from torchvision.transforms import ToTensor

    class InMemory(datasets.MNIST):  # type: ignore[misc, name-defined]
        """Items are made by torchvision's own code; only the reading of files is left out."""

        def __init__(self) -> None:
            datasets.VisionDataset.__init__(self, root=None, transform=ToTensor())
            self.data, self.targets = images, labels

        def __reduce__(self) -> Any:  # loader workers that are spawned receive it pickled
            return _dataset, (self.data, self.targets)

    return InMemory()


def loader(
    dataset: Any,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int = 0,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """The tutorial's DataLoader: batches (images [batch, 1, 28, 28], labels [batch]), the last one may be smaller."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        pin_memory=pin_memory,
        generator=torch.Generator().manual_seed(seed),
    )


def as_tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """All images as float32 [n, 1, 28, 28] in 0..1, to the bit what ToTensor makes of them, and labels [n]."""
    return dataset.data.unsqueeze(1).float().div_(255), dataset.targets


class TensorBatches:
    """Batches of tensors that are in memory already, wherever that is.

    Shuffled, a permutation is drawn for every epoch and each batch is gathered from it; otherwise batches are slices.
    The last batch may be smaller.
    """

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int, *, shuffle: bool, seed: int = 0) -> None:
        self.images, self.labels, self.batch_size, self.shuffle = images, labels, batch_size, shuffle
        self._generator = torch.Generator(images.device).manual_seed(seed)

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch."""
        if not self.shuffle:
            parts = (torch.split(tensor, self.batch_size) for tensor in (self.images, self.labels))
            yield from zip(*parts, strict=True)
            return
        order = torch.randperm(len(self.labels), generator=self._generator, device=self.images.device)
        for chosen in torch.split(order, self.batch_size):
            yield self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
