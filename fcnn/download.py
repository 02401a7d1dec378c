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


# What a disk says that takes no more, on any file system.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
        DataError: The disk is full, or neither `root` nor the temporary folder can be written.
    """
    dataset = kind.__name__
    with contextlib.ExitStack() as stack:
        staging = _staging(dataset, root, say)
        stack.callback(shutil.rmtree, staging, ignore_errors=True)
        try:
            _download(kind, staging)
        except OSError as error:
            if error.errno in FULL:
                where = staging.parent
                raise DataError(
                    f"no space left in {where} for {dataset}: free 150 MB or name another folder"
                ) from error
            raise DownloadError(f"{dataset} could not be downloaded: {error.strerror or error}") from error
        raw = staging / dataset / "raw"
        yield _moved(raw, root / dataset / "raw", say) if staging.parent == root.absolute() else raw


def _staging(dataset: str, root: Path, say: Callable[[str], None]) -> Path:
    """A new folder to download to: in `root`, or a temporary one."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        # Absolute in any case, as mkdtemp's answer is from Python 3.12 on: the caller compares it with `root`.
        staging = Path(tempfile.mkdtemp(prefix=".download-", dir=root.absolute()))
    except OSError as error:
        reason = f"{root} cannot be written ({error.strerror or error})"
    else:
        say(f"downloading {dataset} to {root}")
        return staging
    try:
        staging = Path(tempfile.mkdtemp(prefix="fcnn-"))
    except OSError as error:
        place = f" in {Path(error.filename).parent}" if error.filename else ""
        raise DataError(f"{reason}, and no temporary folder can be made: {error.strerror or error}{place}") from error
    say(f"{reason}: {dataset} is downloaded for this run alone")
    return staging


def _moved(raw: Path, final: Path, say: Callable[[str], None]) -> Path:
    """Where the files are after an attempt to move the folder `raw` to its `final` place."""
    try:
        final.parent.mkdir(exist_ok=True)
        return raw.rename(final)
    except OSError as error:
        # Another process may have been faster: its files stay, and ours, which are the same, serve this run.
        if not all((final / path.name).exists() for path in raw.iterdir()):
            say(f"{final} cannot be written ({error.strerror}): {raw.parent.name} is downloaded for this run alone")
        return raw


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
        if isinstance(problems[0], MemoryError) or getattr(problems[0], "errno", None) in FULL:
            raise problems[0]
        lines = str(problems[0]).strip().splitlines() or [type(problems[0]).__name__]
        raise DownloadError(f"{dataset} could not be downloaded: {lines[-1]}") from problems[0]


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
