"""git, asked in one way: nothing of the caller's reaches it, and it never writes to the repository.

Within a hook, git's own variables (`GIT_DIR`, `GIT_INDEX_FILE` ...) name the commit that is under way: a git that
inherits them works on that commit's index instead of on what it is asked about.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, not_comparable
from bench.record.model import Commit

LIMIT_SECONDS = 60.0
# Neither hooks nor a watcher of the file system is run; no index is refreshed on disk; nobody is asked for a password.
_CONFIGURED = ("core.hooksPath=" + os.devnull, "core.fsmonitor=false", "core.untrackedCache=false")
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def ask(folder: Path, *words: str) -> str:
    """What `git -C folder WORDS` prints, decoded as file names are, without the last line's end.

    Raises:
        BenchError: git is missing, fails, or does not answer in time.
    """
    return os.fsdecode(ask_bytes(folder, *words)).removesuffix("\n")


def ask_bytes(folder: Path, *words: str, given: bytes = b"") -> bytes:
    """The same as bytes, whole; `given` is what git reads."""
    program = shutil.which("git")
    if program is None:
        raise not_comparable("git is not installed")
    configured = [word for setting in _CONFIGURED for word in ("-c", setting)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENVIRONMENT
    try:
        run = subprocess.run(
            [program, *configured, "-C", str(folder), *words], env=environment, input=given,
            capture_output=True, check=False, timeout=LIMIT_SECONDS,
            start_new_session=True,  # the terminal's Ctrl-C is this command's, and not an error of git's
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise not_comparable(f"git {words[0]} did not answer within {LIMIT_SECONDS:.0f} s in {folder}") from None
    except OSError as error:
        raise not_comparable(f"git cannot be started: {error.strerror}") from error
    if run.returncode != 0:
        raise not_comparable(_reason(os.fsdecode(run.stderr), folder))
    return run.stdout


def _reason(output: str, folder: Path) -> str:
    """Git's own error, which may stand above lines of advice."""
    if "dubious ownership" in output:
        return (
            f"git does not trust {folder}, since it belongs to another user: "
            f"git config --global --add safe.directory {folder}"
        )
    lines = output.strip().splitlines() or ["git failed and said nothing"]
    errors = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return f"git: {(errors or lines)[-1].partition(': ')[2] or (errors or lines)[-1]}"


def top(folder: Path) -> Path:
    """The checkout that `folder` lies in; raises BenchError."""
    return Path(ask(folder, "rev-parse", "--show-toplevel"))


def commit_of(file: Path, within: str = "..") -> Commit | None:
    """The commit of the repository that tracks `file`, dirty if anything in or below the folder `within` has changed.

    None without git, and where the repository merely surrounds the file, as one does an environment in it.
    """
    folder = file.parent
    try:
        ask(folder, "ls-files", "--error-unmatch", "--", file.name)
        changed = ask(folder, "status", "--porcelain", "--untracked-files=normal", "--", within)
        return Commit(id=ask(folder, "rev-parse", "HEAD")[:12], dirty=bool(changed))
    except BenchError:
        return None


def files_below(root: Path, name: str) -> list[str]:
    """Files below `name` of the working tree that git tracks or would add, relative to `root`; a file is its own."""
    listed = ask_bytes(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f":(literal){name}")
    return sorted({os.fsdecode(path) for path in listed.split(b"\0") if path})


def sparse_below(root: Path, name: str) -> list[str]:
    """Tracked files below `name` that a sparse checkout leaves out of the working tree."""
    listed = ask_bytes(root, "ls-files", "-z", "-t", "--cached", "--", f":(literal){name}")
    return [os.fsdecode(line[2:]) for line in listed.split(b"\0") if line.startswith(b"S ") and b"\n" not in line]


@dataclass(frozen=True)
class Entry:
    """A file of a commit: what its blob is called, and whether it is a link, whose blob holds where it leads."""

    id: str
    is_link: bool


def entries(root: Path, commit: str, *names: str) -> dict[str, Entry]:
    """Files and links of a commit by their path from its top, of all or of what is below `names`. Raises BenchError."""
    by_path = {}
    for line in ask_bytes(root, "ls-tree", "-rz", "--full-tree", commit, "--", *names).split(b"\0"):
        facts, _, path = line.partition(b"\t")
        mode, kind, id = facts.split() if facts else (b"", b"", b"")
        if kind == b"blob":  # another repository's commit is none
            by_path[os.fsdecode(path)] = Entry(id.decode(), mode == b"120000")
    return by_path


def blobs(root: Path, names: Sequence[str]) -> list[bytes]:
    """What blobs hold, as they are stored: no attribute or filter of the user's is applied, as archives would do.

    Args:
        root: The checkout.
        names: Blobs' ids, or paths in the index such as `:fcnn/train.py`.

    Raises:
        BenchError: One is not there.
    """
    if not names:
        return []
    answer = ask_bytes(root, "cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode())
    contents, at = [], 0
    for name in names:
        end = answer.index(b"\n", at)
        *_, size = answer[at:end].split()
        if not size.isdigit():  # `... missing`
            raise not_comparable(f"git: the repository lacks {name}")
        contents.append(answer[end + 1 : end + 1 + int(size)])
        at = end + 1 + int(size) + 1
    return contents
