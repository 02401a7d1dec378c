import socket
import threading
from pathlib import Path

import pytest
from torchvision import datasets

from fcnn import download
from fcnn.data import DataError, load_images
from fcnn.download import DownloadError
from tests.conftest import FILES, write_dataset


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


def test_exhausted_memory_is_not_taken_for_a_missing_network(mirror, monkeypatch):
    def exhausted(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr(datasets.MNIST, "download", exhausted)
    with pytest.raises(MemoryError):
        load_images("MNIST", mirror, lambda line: None)
    assert list(mirror.iterdir()) == []


def fallback(root: Path) -> tuple[object, list[str]]:
    said, say = lines()
    images = load_images("MNIST", root, say)
    assert images.name == "MNIST-5k"
    assert not list(root.rglob("*.gz")) if root.exists() else True
    return images, said


def test_an_error_without_words_is_named_by_its_kind(mirror, monkeypatch):
    def wordless(self: object) -> None:
        raise AssertionError

    monkeypatch.setattr(datasets.MNIST, "download", wordless)
    assert fallback(mirror)[0].fallback_reason == "MNIST could not be downloaded: AssertionError"


class Scripted:
    """Stands for a download: `sizes` are the bytes found at each look, a second apart, as long as it runs."""

    def __init__(self, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes, self.looks = sizes, 0
        monkeypatch.setattr(download, "_size_bytes", self.size)
        monkeypatch.setattr(download.time, "monotonic", lambda: float(self.looks))
        monkeypatch.setattr(download.threading, "Thread", lambda **_: self)

    def size(self, folder: Path) -> int:
        self.looks += 1
        return self.sizes[self.looks - 1]

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return self.looks < len(self.sizes)

    def join(self, seconds: float) -> None:
        pass


def test_a_stall_in_the_middle_is_noticed_as_soon_as_one_at_the_beginning(tmp_path, monkeypatch):
    """The window begins anew with every 50 kB: 6 good seconds, then a stall that is over 4 seconds later."""
    script = Scripted([*range(60_000, 420_000, 60_000), *[360_000] * 20], monkeypatch)
    with pytest.raises(DownloadError, match="nothing arrives"):
        download._download(datasets.MNIST, tmp_path)
    assert script.looks == 6 + 4


def test_a_slow_but_steady_download_is_left_alone(tmp_path, monkeypatch):
    script = Scripted([20_000 * second for second in range(40)], monkeypatch)
    download._download(datasets.MNIST, tmp_path)
    assert script.looks == 40


@pytest.mark.slow
def test_a_download_given_up_does_not_come_back(tmp_path, monkeypatch):
    """torchvision would go on to its next mirror, make the folder again and show its progress."""
    let_go, threads = threading.Event(), []

    class Slow(datasets.MNIST):
        def download(self) -> None:
            threads.append(threading.current_thread())
            let_go.wait(10)
            Path(self.raw_folder).mkdir(parents=True)

    monkeypatch.setattr(datasets, "MNIST", type("MNIST", (Slow,), {}))
    monkeypatch.setattr(download, "STALL_SECONDS", 0.2)
    root = tmp_path / "root"
    fallback(root)
    let_go.set()
    threads[0].join()
    assert list(root.iterdir()) == []


def test_a_corrupt_download_is_never_taken_for_data(mirror, tmp_path):
    path = tmp_path / "server/MNIST/raw" / FILES[0]
    path.write_bytes(path.read_bytes()[:-5])
    fallback(mirror)
    assert list(mirror.iterdir()) == []


@pytest.mark.slow
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
        monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
        images, _ = fallback(tmp_path / "root")
        for connection in accepted:
            connection.close()
    assert "nothing arrives" in images.fallback_reason or "timed out" in images.fallback_reason
    assert socket.getdefaulttimeout() is None


def test_a_killed_download_leaves_nothing_that_is_taken_for_data(mirror, monkeypatch):
    """The process dies between two files: only the hidden staging folder stays, and the next run ignores it."""

    def killed(kind: type, folder: Path) -> None:
        raw = folder / kind.__name__ / "raw"
        raw.mkdir(parents=True)
        (raw / FILES[0]).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "_download", killed)
        patch.setattr(download.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            load_images("MNIST", mirror, lambda line: None)
    assert [p.name.startswith(".download-") for p in mirror.iterdir()] == [True]
    assert load_images("MNIST", mirror, lambda line: None).name == "MNIST"


def test_other_datasets_have_no_fallback(tmp_path, monkeypatch):
    def no_network(kind: type, folder: Path) -> None:
        raise DownloadError(f"{kind.__name__} could not be downloaded: no network")

    monkeypatch.setattr(download, "_download", no_network)
    with pytest.raises(DataError, match="KMNIST could not be downloaded"):
        load_images("KMNIST", tmp_path, lambda line: None)
    with pytest.raises(DataError, match="no dataset called 'CIFAR'"):
        load_images("CIFAR", tmp_path)
