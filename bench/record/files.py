"""Files: written whole or not at all, as text that every strict reader takes; read as strictly; scratch folders.

Whatever goes wrong with one is a BenchError whose line names the file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import USAGE, BenchError
from bench.text import plain

# In SI units, whatever is measured: beyond, sums and ratios of floating-point numbers would end.
LEAST, MOST = 1e-30, 1e30
# Where a number may be at fault; one by one, since alternatives are tried at every place of a long text.
_FAULTY_NUMBER = [
    re.compile(pattern)
    for pattern in (
        "NaN",
        "Infinity",
        r"[eE](?<=[0-9.].)[+-]?0*(?:[3-9][0-9]|[0-9]{3,})\s*[,\]}]",
        r"[0-9](?<![0-9][0-9])[0-9]{28}",
        r"\A[^\[{]*\Z",
    )
]
_ESCAPED = re.compile(r"\\[ubf]|\x7f")
IGNORED = "# Made by fcnn-bench. Without this file, git keeps what is in this folder.\n*\n"
FULL = (errno.ENOSPC, errno.EDQUOT)


def usual_mode(mode: int = 0o666) -> int:
    """`mode` as the umask leaves it; temporary files and folders are made for their owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


def write(path: Path, text: str) -> None:
    """Replaces the file `path` by `text`, whole or not at all; a link stays one, a missing folder is made.

    Raises:
        BenchError: It cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else usual_mode()
        descriptor, temporary = tempfile.mkstemp(prefix=".partial-", dir=target.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(plain(text))
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
        temporary = None
    except OSError as error:
        raise BenchError(f"{path} cannot be written: {why(error)}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def check_writable(folder: Path, option: str) -> None:
    """Makes sure, before minutes are spent on what goes there, that files can be written to `folder`; leaves nothing.

    Raises:
        BenchError: They cannot; `option` is what names another folder.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        raise BenchError(f"{folder} cannot be written: {why(error)}; choose another {option}", USAGE) from error
    finally:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def ignored_by_git(results: Path) -> Iterator[None]:
    """A results folder that is made meanwhile in a git repository tells git to ignore what is in it.

    So do the folders that are made meanwhile in one that is there. Results would be part of a commit otherwise, and of
    the working tree that `check` compares: the next one would find a change in it, and take another reference.
    """
    missing = [path for path in (results, *results.parents) if not path.exists()]
    before = set() if missing else _folders_in(results)
    try:
        yield
    finally:
        new = missing[-1:] if missing else sorted(_folders_in(results) - before)
        for folder in new:
            if folder.is_dir() and any((path / ".git").exists() for path in folder.absolute().parents):
                with contextlib.suppress(OSError):
                    (folder / ".gitignore").write_text(IGNORED, "utf-8")


def _folders_in(folder: Path) -> set[Path]:
    with contextlib.suppress(OSError):
        return {path for path in folder.iterdir() if path.is_dir()}
    return set()


def write_json(path: Path, data: Any) -> None:
    """`write` of JSON; raises ValueError for a number that JSON does not know."""
    # Not escaped: what no strict reader takes, such as half of a surrogate pair, is then replaced by `write`.
    write(path, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def why(error: OSError) -> str:
    """The reason of an error of the system, without its number."""
    return error.strerror or str(error) or type(error).__name__


def read_json(path: Path) -> Any:
    """What the JSON file `path` holds, its texts as `bench.text.plain` has them.

    Raises:
        BenchError: It is missing, no JSON, or holds a number that is none (NaN, an infinity) or that nobody can have
            measured; the message says where.
    """
    try:
        text = path.read_text("utf-8")
        data = json.loads(text)
    except FileNotFoundError:
        raise BenchError(f"{path}: there is no such file") from None
    except OSError as error:
        raise BenchError(f"{path}: cannot be read: {why(error)}") from error
    except (ValueError, RecursionError) as error:  # also: no UTF-8, too many digits or levels
        raise BenchError(f"{path}: is no JSON: {error}") from error
    # A record has ten thousand numbers and few words: each is looked at only where one could be at fault.
    if any(pattern.search(text) for pattern in _FAULTY_NUMBER) and (fault := _first_fault(data)):
        raise BenchError(f"{path}: at {fault}")
    return data if text.isascii() and not _ESCAPED.search(text) else _plain(data)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {plain(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return plain(data) if isinstance(data, str) else data


def _first_fault(data: Any) -> str | None:
    """Where the first number is that is none or no measurement, and why: `measurements/0/samples_seconds/3: ...`."""
    stack: list[tuple[str, Any]] = [("", data)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return f"{place or 'the top level'}: NaN and infinities are no numbers"
        # Compared before it is shown: an integer may have thousands of digits.
        if isinstance(value, int | float) and value != 0 and not LEAST <= abs(value) <= MOST:
            return f"{place or 'the top level'}: nobody measures less than {LEAST:g} or more than {MOST:g}"
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        stack += [(f"{place}/{key}".lstrip("/"), inner) for key, inner in items]
    return None


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder, gone at the end.

    Raises:
        BenchError: There is none to be had, or it became full.
    """
    remedy = "free some space or name another folder with TMPDIR"
    try:
        folder = Path(tempfile.mkdtemp(prefix="fcnn-bench-"))
    except OSError as error:
        raise BenchError(f"no temporary folder can be made: {error}; {remedy}") from error
    try:
        yield folder
    except OSError as error:
        if error.errno in FULL and shutil.disk_usage(folder).free < 1 << 20:
            raise BenchError(f"the temporary folder {folder.parent} is full; {remedy}") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
