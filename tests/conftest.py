"""Images for tests: small, learnable, made on the spot; no network and no user cache is ever touched."""

from __future__ import annotations

import functools
import gc
import gzip
import hashlib
import itertools
import json
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TRAIN, TEST = 640, 200
CACHES = itertools.count()  # one a test
imported = 0  # modules, when what is there was last set aside
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(">BBBB", 0, 0, 0x08, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def learnable(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images with a bright block whose place tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 10)
    images = rng.integers(0, 80, (count, 28, 28))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 5)
        image[4 + 12 * row : 12 + 12 * row, 2 + 5 * column : 7 + 5 * column] = 230
    return images, labels


@functools.cache
def archives() -> dict[str, bytes]:
    """The four files of a dataset by name."""
    arrays = (*learnable(TRAIN, 1), *learnable(TEST, 2))
    return {file: gzip.compress(idx(array), mtime=0) for file, array in zip(FILES, arrays, strict=True)}


def write_dataset(root: Path, name: str = "MNIST") -> dict[str, str]:
    """Writes the four archives in torchvision's layout and returns their checksums by file name."""
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for file, data in archives().items():
        (raw / file).write_bytes(data)
    return {file: hashlib.md5(data).hexdigest() for file, data in archives().items()}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--simulations", type=Path, metavar="FILE", help="keep in FILE what the simulations have found")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Full-size simulations take minutes, and run only where `-m` names them."""
    if "statistical" not in config.getoption("markexpr"):
        full = [item for item in items if item.get_closest_marker("statistical")]
        items[:] = [item for item in items if not item.get_closest_marker("statistical")]
        config.hook.pytest_deselected(items=full)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Lets a process that has done its tests take from another's: a few take as long as hundreds of the others."""
    if config.getoption("dist") == "load":  # what -n asks for
        from xdist.scheduler import WorkStealingScheduling

        return WorkStealingScheduling(config, log)
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if file := config.getoption("--simulations"):
        reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
        found = {report.nodeid: {"outcome": report.outcome, **dict(report.user_properties)} for report in reports}
        file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


@pytest.fixture(autouse=True, scope="session")
def usual_signals() -> None:
    """What a shell or nohup lets its background jobs ignore is not ignored here, nor in what is started from here."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGQUIT", "SIGTERM"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def one_thread_in_children() -> Iterator[None]:
    """Of these, and of torch where it is imported from now on.

    Small tensors are slower on two threads than on one, and far slower where somebody else is busy on the other core.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Here, whatever the test before has set."""
    if (torch := sys.modules.get("torch")) and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_is_collected_twice() -> None:
    """What has been imported by now stays. To look through it at every collection of garbage takes a tenth second."""
    global imported
    gc.enable()  # whatever the test before has left: a worker's process collects none
    if imported != len(sys.modules):
        imported = len(sys.modules)
        gc.freeze()


@pytest.fixture(autouse=True)
def nothing_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither files nor wishes for the output. The cache is a folder that is not there: most tests need none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache{next(CACHES)}"))
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One for all the tests that ask its workers, since to start it is to import torch; with the embedded images."""
    from bench.gate.check import save_images
    from bench.workers.forge import Forge
    from tests.data.images import embedded

    images = embedded()
    file = save_images(images, tmp_path_factory.mktemp("forge"), len(images.train))
    with Forge({"file": str(file)}, passive=True) as made:
        yield made


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Makes torchvision believe that these are MNIST's published checksums."""
    from torchvision import datasets

    def believe(checksums: dict[str, str]) -> None:
        monkeypatch.setattr(datasets.MNIST, "resources", list(checksums.items()))

    return believe


@pytest.fixture
def mnist_root(tmp_path: Path, publish: Callable[[dict[str, str]], None]) -> Path:
    """A data root with a small dataset that passes for MNIST."""
    root = tmp_path / "data"
    publish(write_dataset(root))
    return root
