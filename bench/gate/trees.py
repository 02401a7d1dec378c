"""The two programs that a gate compares: the candidate in the working tree, and the reference, a git ref's."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import USAGE, BenchError
from bench.measure import git
from bench.measure.git import GitError
from bench.record import files

PROGRAM = "fcnn"
ENTRY = "fcnn/train.py"
MAIN_BRANCHES = ("origin/main", "main", "origin/master", "master")
DEEPEN = "fetch the whole history (git fetch --unshallow; in CI, fetch-depth: 0)"


@dataclass(frozen=True)
class Trees:
    """Folders to put first on `sys.path`; each holds one side's `fcnn` and nothing else.

    Attributes:
        ref_id: The reference's commit.
    """

    candidate: Path
    reference: Path
    ref_id: str


def default_ref(root: Path) -> str:
    """The merge base of HEAD with the main branch; where HEAD is on it, HEAD itself if files have changed, else HEAD~1.

    Raises:
        GitError: There is no main branch or no earlier commit; the message says what to do.
    """
    head = _commit(root, "HEAD")
    if head is None:
        raise GitError(f"{root} has no commit to compare with")
    bases = [base for branch in MAIN_BRANCHES if (base := _merge_base(root, branch))]
    if bases and bases[0] != head:
        return bases[0]
    if bases and git.ask(root, "status", "--porcelain", "--untracked-files=normal"):
        return head
    if bases and (before := _commit(root, "HEAD~1")):
        return before
    if git.ask(root, "rev-parse", "--is-shallow-repository") == "true":
        raise GitError(f"this clone is shallow and lacks the commit to compare with: {DEEPEN}, or name a ref")
    if bases:
        raise GitError("there is no commit before the first: name a ref: fcnn-bench check REF")
    raise GitError("there is no main branch to compare with; name a ref: fcnn-bench check REF")


def _commit(root: Path, ref: str) -> str | None:
    with contextlib.suppress(GitError):
        return git.ask(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") or None
    return None


def _merge_base(root: Path, branch: str) -> str | None:
    with contextlib.suppress(GitError):
        return git.ask(root, "merge-base", "HEAD", branch) or None
    return None


@contextlib.contextmanager
def trees(root: Path, ref: str) -> Iterator[Trees]:
    """Both programs, laid out for workers; nothing is written to the repository.

    Raises:
        GitError: `ref` is no commit, or has no `fcnn`.
        BenchError: The working tree has none.
    """
    ref_id = _commit(root, ref)
    if ref_id is None:
        raise GitError(f"{ref!r} is no commit here; in CI, {DEEPEN}")
    with files.scratch() as scratch:
        yield Trees(candidate_of(root, scratch / "candidate"), reference_of(root, ref_id, ref, scratch), ref_id)


def candidate_of(root: Path, folder: Path) -> Path:
    """`folder` with the `fcnn` of the working tree, as far as git tracks it or would add it.

    So neither an editor's lock files nor cached bytecode nor what is ignored is measured.

    Raises:
        BenchError: There is none.
    """
    names = git.files_below(root, PROGRAM)
    if ENTRY not in names or not (root / ENTRY).is_file():
        raise BenchError(f"{root} has no {ENTRY} that git tracks or would add: nothing to measure", USAGE)
    return _laid_out(root, names, folder)


def reference_of(root: Path, ref_id: str, ref: str, scratch: Path) -> Path:
    """A folder with the `fcnn` of a commit; `ref` is what the user calls it. Raises GitError."""
    unpacked = scratch / "unpacked"
    try:
        git.unpack(root, ref_id, PROGRAM, unpacked)
    except GitError:
        raise GitError(f"{ref} has no {ENTRY} to measure") from None
    if not (unpacked / ENTRY).is_file():
        raise GitError(f"{ref} has no {ENTRY} to measure")
    return program_of(unpacked, scratch / "reference")


def program_of(source: Path, folder: Path) -> Path:
    """`folder` with a copy of all of `source`'s `fcnn`, which need be in no repository, without cached bytecode."""
    paths = (path for path in (source / PROGRAM).rglob("*") if "__pycache__" not in path.parts)
    return _laid_out(source, [str(path.relative_to(source)) for path in paths], folder)


def _laid_out(source: Path, names: list[str], folder: Path) -> Path:
    """Copies files, links as what they lead to: neither those that lead nowhere nor what was deleted."""
    for name in names:
        if (source / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)
    return folder
