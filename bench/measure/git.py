"""git, asked in one way: nothing of the caller's reaches it, and it never writes to the repository.

Within a hook, git's own variables (`GIT_DIR`, `GIT_INDEX_FILE` ...) name the commit that is under way: a git that
inherits them works on that commit's index instead of on what it is asked about.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from bench.errors import NOT_COMPARABLE, BenchError
from bench.record.model import Commit

LIMIT_SECONDS = 60.0
# Neither hooks nor a watcher of the file system is run; no index is refreshed on disk; nobody is asked for a password.
_CONFIGURED = ("core.hooksPath=" + os.devnull, "core.fsmonitor=false", "core.untrackedCache=false")
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


class GitError(BenchError):
    """git has no answer. The message is for the user."""

    exit_code = NOT_COMPARABLE


def ask(folder: Path, *words: str) -> str:
    """What `git -C folder WORDS` prints, decoded as file names are, without the last line's end.

    Raises:
        GitError: git is missing, fails, or does not answer in time.
    """
    return os.fsdecode(ask_bytes(folder, *words)).removesuffix("\n")


def ask_bytes(folder: Path, *words: str) -> bytes:
    """The same as bytes, whole."""
    program = shutil.which("git")
    if program is None:
        raise GitError("git is not installed")
    configured = [word for setting in _CONFIGURED for word in ("-c", setting)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENVIRONMENT
    try:
        run = subprocess.run(
            [program, *configured, "-C", str(folder), *words], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=LIMIT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise GitError(f"git {words[0]} did not answer within {LIMIT_SECONDS:.0f} s in {folder}") from None
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror}") from error
    if run.returncode != 0:
        raise GitError(_reason(os.fsdecode(run.stderr), folder))
    return run.stdout


def _reason(said: str, folder: Path) -> str:
    """Git's own error, which may stand above lines of advice."""
    if "dubious ownership" in said:
        return (
            f"git does not trust {folder}, since it belongs to another user: "
            f"git config --global --add safe.directory {folder}"
        )
    lines = said.strip().splitlines() or ["git failed and said nothing"]
    errors = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return f"git: {(errors or lines)[-1].partition(': ')[2] or (errors or lines)[-1]}"


def top(folder: Path) -> Path:
    """The checkout that `folder` lies in; raises GitError."""
    return Path(ask(folder, "rev-parse", "--show-toplevel"))


def commit_of(file: Path) -> Commit | None:
    """The commit of the repository that tracks `file`, dirty if anything in or below its folder's parent has changed.

    None without git, and where the repository merely surrounds the file, as one does an environment in it.
    """
    folder = file.parent
    try:
        ask(folder, "ls-files", "--error-unmatch", "--", file.name)
        changed = ask(folder, "status", "--porcelain", "--untracked-files=normal", "--", "..")
        return Commit(id=ask(folder, "rev-parse", "HEAD")[:12], dirty=bool(changed))
    except GitError:
        return None


def files_below(root: Path, name: str) -> list[str]:
    """Files below the folder `name` of the working tree that git tracks or would add, relative to `root`."""
    listed = ask_bytes(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", name)
    return sorted({os.fsdecode(path) for path in listed.split(b"\0") if path})


def unpack(root: Path, commit: str, name: str, folder: Path) -> None:
    """Lays the folder `name` as it is in `commit` into `folder`; the repository gets no worktree.

    Raises:
        GitError: `commit` has no such folder.
    """
    archived = ask_bytes(root, "archive", "--format=tar", commit, name)
    with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
        for member in archive:
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                target.symlink_to(member.linkname)
            elif content := archive.extractfile(member):
                target.write_bytes(content.read())
