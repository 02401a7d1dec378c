"""The IDX file format of MNIST and its relatives, read with every check that the format allows.

Format: http://yann.lecun.com/exdb/mnist/ - two zero bytes, a type code, the number of dimensions, their sizes as
big-endian 32-bit integers, then the values, row by row.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}
# MNIST's own unpacked files, for folders that hold them without the archives they came from.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class DataError(Exception):
    """Images that cannot be had or cannot be trusted. The message is one line for the user."""


def read_file(raw: Path, archive: str, md5: str) -> bytes:
    """The verified contents of one IDX file in the folder `raw`, from its archive or else unpacked.

    Args:
        raw: torchvision's `<root>/<dataset>/raw`.
        archive: The file's name with `.gz`.
        md5: The archive's published checksum.

    Raises:
        DataError: The file is missing, unreadable, or not the published one.
    """
    packed, unpacked = raw / archive, raw / archive.removesuffix(".gz")
    path = packed
    try:
        if unpacked.exists() and not packed.exists():
            path = unpacked
        data = path.read_bytes()
        if path is unpacked:
            known = MNIST_SHA256.get(unpacked.name) if raw.parent.name == "MNIST" else None
            if known and hashlib.sha256(data).hexdigest() != known:
                raise DataError(f"{path} is corrupt (its checksum is not that of MNIST): delete it and try again")
            return data
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
            raise DataError(f"{path} is corrupt (its checksum is not the published one): delete it and try again")
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def parse(data: bytes, name: str) -> Tensor:
    """The array in IDX `data`; uint8 stays, 32-bit integers become int64.

    Raises:
        DataError: The header is not IDX, or the length does not fit it; `name` is in the message.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or not 1 <= data[3] <= 3:
        raise DataError(f"{name} is not an IDX file: delete it and try again")
    dtype, dimensions = TYPES[data[2]], data[3]
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise DataError(f"{name} is truncated or too long ({len(data):,} bytes, its header says {expected:,})")
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return torch.from_numpy(array.astype(np.uint8 if dtype.itemsize == 1 else np.int64))


def check_pair(images: Tensor, labels: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """uint8 images [n, 28, 28] and int64 labels [n] in 0..9, or DataError; QMNIST's labels [n, 8] begin with them."""
    if images.dim() != 3 or images.shape[1:] != (28, 28) or images.dtype != torch.uint8:
        raise DataError(f"{name}: the images are {list(images.shape)}, not [n, 28, 28]")
    if labels.dim() == 2 and labels.shape[1] > 0:
        labels = labels[:, 0]
    if labels.dim() != 1:
        raise DataError(f"{name}: the labels are {list(labels.shape)}, not [n]")
    labels = labels.to(torch.int64)
    if len(labels) != len(images) or len(labels) == 0:
        raise DataError(f"{name}: {len(images):,} images do not match {len(labels):,} labels")
    if int(labels.min()) < 0 or int(labels.max()) > 9:
        raise DataError(f"{name}: there are labels outside 0 to 9")
    return images, labels
