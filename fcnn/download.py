"""Downloading a dataset: torchvision does it; here it is given up in time, and nothing half-done is left behind."""

import contextlib
import errno
import io
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fcnn.idx import DataError

# Every STALL_BYTES must arrive within STALL_SECONDS, so that a hanging download is given up within 5 s.
STALL_SECONDS = 4.0
STALL_BYTES = 50_000


class DownloadError(DataError):
    """The network gave nothing. The only failure that MNIST's embedded images may stand in for."""


@contextlib.contextmanager
def downloaded(kind: Any, root: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """The `raw` folder of a fresh download, moved to `root` in one step; a temporary one if `root` is unwritable.

    Args:
        kind: torchvision's class of the dataset.
        root: The data root.
        say: Receives a line that says where the download goes.

    Raises:
        DownloadError: The network gave nothing, or something else than the published files.
        DataError: The disk is full.
    """
    dataset = kind.__name__
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
        _download(kind, staging)
        raw = staging / dataset / "raw"
        yield _moved(raw, root / dataset / "raw") if staging.parent == root else raw
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = staging.parent if staging else root
            raise DataError(f"no space left in {where} for {dataset}: free 150 MB or name another folder") from error
        raise DownloadError(f"{dataset} could not be downloaded: {error.strerror or error}") from error
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)


def _moved(raw: Path, final: Path) -> Path:
    try:
        final.parent.mkdir(exist_ok=True)
        return raw.rename(final)
    except OSError:
        if not final.exists():
            raise
        return raw  # another process was faster, and its files stay; ours are the same and serve this run


def _download(kind: Any, folder: Path) -> None:
    """Lets torchvision download into `folder`, in a thread that is given up as soon as too few bytes arrive.

    Neither torchvision nor urllib gives up on a mirror that accepts a connection and then says nothing.
    """
    dataset = kind.__name__
    problems: list[BaseException] = []
    given_up = threading.Event()

    class Stoppable(kind):  # type: ignore[misc]
        """A thread cannot be killed: this one ends before its next file, which would create `folder` again."""

        @property
        def raw_folder(self) -> str:
            if given_up.is_set():
                raise DownloadError("given up")
            return str(folder / dataset / "raw")

    def work() -> None:
        try:
            Stoppable(folder, train=True, download=True)
            Stoppable(folder, train=False, download=True)
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
                bytes_now, now = _size_bytes(folder), time.monotonic()
                if bytes_now - bytes_before >= STALL_BYTES:
                    bytes_before, window_begin = bytes_now, now
                elif now - window_begin >= STALL_SECONDS and thread.is_alive():
                    raise DownloadError(f"{dataset} could not be downloaded: nothing arrives")
    finally:
        given_up.set()
        socket.setdefaulttimeout(timeout_before)
    if problems:
        if getattr(problems[0], "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise problems[0]
        lines = str(problems[0]).strip().splitlines() or [type(problems[0]).__name__]
        raise DownloadError(f"{dataset} could not be downloaded: {lines[-1]}") from problems[0]


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
