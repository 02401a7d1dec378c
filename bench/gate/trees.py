"""The two programs that a gate compares: the candidate in the working tree, and a git ref in a worktree of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAIN_BRANCHES = ("origin/main", "main", "origin/master", "master")


class TreeError(Exception):
    """A ref that is not there or cannot be measured. The message is for the user."""


@dataclass(frozen=True)
class Trees:
    """Folders to put first on `sys.path`; each holds one side's `fcnn` and nothing else.

    Attributes:
        ref_id: The reference's commit.
    """

    candidate: Path
    reference: Path
    ref_id: str


def git(root: Path, *words: str) -> str:
    """What git answers; raises TreeError with its last line."""
    if shutil.which("git") is None:
        raise TreeError("git is not installed")
    run = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise TreeError((run.stderr.strip().splitlines() or ["git failed"])[-1])
    return run.stdout.strip()


def default_ref(root: Path) -> str:
    """The merge base of HEAD with the main branch; where HEAD is on it, HEAD itself if files have changed, else HEAD~1.

    Raises:
        TreeError: There is no main branch or no earlier commit; the message says what to pass.
    """
    for branch in MAIN_BRANCHES:
        with contextlib.suppress(TreeError):
            base = git(root, "merge-base", "HEAD", branch)
            if base != git(root, "rev-parse", "HEAD") or git(root, "status", "--porcelain"):
                return base
            return git(root, "rev-parse", "HEAD~1")
    raise TreeError("there is no main branch to compare with; name a ref: fcnn-bench check REF")


@contextlib.contextmanager
def trees(root: Path, ref: str) -> Iterator[Trees]:
    """Both programs, laid out for workers; the worktree is removed at the end.

    Raises:
        TreeError: `ref` is no commit, or has no `fcnn`.
    """
    ref_id = git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") if _is_commit(root, ref) else ""
    if not ref_id:
        raise TreeError(f"{ref!r} is no commit here; in CI, fetch the whole history (fetch-depth: 0)")
    with tempfile.TemporaryDirectory(prefix="fcnn-bench-gate-") as scratch:
        worktree = Path(scratch) / "worktree"
        git(root, "worktree", "add", "--detach", "--force", str(worktree), ref_id)
        try:
            if not (worktree / "fcnn" / "train.py").is_file():
                raise TreeError(f"{ref} has no fcnn/train.py to measure")
            sides = []
            for side, source in (("candidate", root), ("reference", worktree)):
                sides.append(program_of(source, Path(scratch) / side))
            yield Trees(sides[0], sides[1], ref_id)
        finally:
            with contextlib.suppress(TreeError):
                git(root, "worktree", "remove", "--force", str(worktree))


def program_of(source: Path, folder: Path) -> Path:
    """`folder` with a copy of `source`'s `fcnn`: neither an edit under way nor cached bytecode reaches a worker."""
    shutil.copytree(source / "fcnn", folder / "fcnn", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _is_commit(root: Path, ref: str) -> bool:
    with contextlib.suppress(TreeError):
        return bool(git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"))
    return False
