"""The two programs that a gate compares: the candidate in the working tree, and the reference, a git ref's."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import interruption
from bench.errors import USAGE, BenchError, not_comparable
from bench.gate.snapshot import Snapshot
from bench.measure import git
from bench.record import files

PROGRAM = "fcnn"
ENTRY = "fcnn/train.py"
MAIN_BRANCHES = ("origin/main", "main", "origin/master", "master")
DEEPEN = "fetch the whole history (git fetch --unshallow; in CI, fetch-depth: 0)"


@dataclass(frozen=True)
class Trees:
    """Folders with one side's program each: its `fcnn` and nothing else, or all of the repository of the user's own.

    Attributes:
        ref_id: The reference's commit.
        file: Of a program of the user's own, its path in the folders.
    """

    candidate: Path
    reference: Path
    ref_id: str
    file: str = ""


def default_ref(root: Path) -> str:
    """The merge base of HEAD with the main branch; where HEAD is on it, HEAD itself if files have changed, else HEAD~1.

    Raises:
        BenchError: There is no main branch or no earlier commit; the message says what to do.
    """
    head = _commit(root, "HEAD")
    if head is None:
        raise not_comparable(f"{root} has no commit to compare with")
    bases = [base for branch in MAIN_BRANCHES if (base := _merge_base(root, branch))]
    if bases and bases[0] != head:
        return bases[0]
    if bases and git.ask(root, "status", "--porcelain", "--untracked-files=normal"):
        return head
    if bases and (before := _commit(root, "HEAD~1")):
        return before
    if _is_shallow(root):
        raise not_comparable(f"this clone is shallow and lacks the commit to compare with: {DEEPEN}, or name a ref")
    if bases:
        raise not_comparable("there is no commit before the first: name a ref: fcnn-bench check REF")
    raise not_comparable("there is no main branch to compare with; name a ref: fcnn-bench check REF")


def _commit(root: Path, ref: str) -> str | None:
    with contextlib.suppress(BenchError):
        return git.ask(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") or None
    return None


def _merge_base(root: Path, branch: str) -> str | None:
    with contextlib.suppress(BenchError):
        return git.ask(root, "merge-base", "HEAD", branch) or None
    return None


def _is_shallow(root: Path) -> bool:
    return git.ask(root, "rev-parse", "--is-shallow-repository") == "true"


@contextlib.contextmanager
def trees(root: Path, ref: str, file: str = "") -> Iterator[Trees]:
    """Both programs, laid out for workers; nothing is written to the repository.

    Args:
        root: The checkout.
        ref: The reference.
        file: A program of the user's own, by its path in the checkout, in place of `fcnn`.

    Raises:
        BenchError: `ref` is no commit, or it or the working tree has no such program.
    """
    ref_id = _commit(root, ref)
    if ref_id is None:
        raise not_comparable(f"{ref!r} is no commit here{f'; {DEEPEN}' if _is_shallow(root) else ''}")
    with files.scratch() as scratch:
        with interruption.allowed():
            candidate = candidate_of(root, scratch / "candidate", file)
            reference = reference_of(root, ref_id, ref, scratch / "reference", file)
        yield Trees(candidate, reference, ref_id, file)


@contextlib.contextmanager
def working_tree(root: Path, file: str) -> Iterator[Trees]:
    """A program of the user's own as it is in the working tree, for both sides. Raises BenchError."""
    with files.scratch() as scratch:
        program = candidate_of(root, scratch, file)
        yield Trees(program, program, "", file)


@contextlib.contextmanager
def one_program(source: Path) -> Iterator[Trees]:
    """The `fcnn` in `source`, which need be in no repository, for both sides."""
    with files.scratch() as scratch:
        program = program_of(source, scratch)
        yield Trees(program, program, "")


def candidate_of(root: Path, folder: Path, file: str = "") -> Path:
    """`folder` with the program of the working tree, as far as git tracks it or would add it.

    So neither an editor's lock files nor cached bytecode nor what is ignored is measured.

    Raises:
        BenchError: There is none.
    """
    part, entry = (".", file) if file else (PROGRAM, ENTRY)
    for name in git.files_below(root, part):
        _lay_out_file(root, name, folder / name)
    sparse = [name for name in git.sparse_below(root, part) if not (folder / name).exists()]
    for name, content in zip(sparse, git.blobs(root, [f":{name}" for name in sparse]), strict=True):
        _write(folder / name, content)
    if not (folder / entry).is_file():
        raise BenchError(f"{root} has no {entry} that git tracks or would add: nothing to measure", USAGE)
    return folder


def reference_of(root: Path, ref_id: str, ref: str, folder: Path, file: str = "") -> Path:
    """`folder` with the program of a commit; `ref` is what the user calls it. Raises BenchError."""
    parts, entry = [PROGRAM], ENTRY
    if file:
        parts, entry = sorted({path.partition("/")[0] for path in git.entries(root, ref_id)}), file
    snapshot = Snapshot(root, ref_id, *parts)
    laid_out = {target: source for part in parts for target, source in snapshot.files(part)}
    contents = snapshot.contents([source for source in laid_out.values() if isinstance(source, str)])
    for target, source in laid_out.items():
        if isinstance(source, str):
            _write(folder / target, contents[source])
        else:
            _copy(source, folder / target)
    if not (folder / entry).is_file():
        raise not_comparable(f"{ref} has no {entry} to measure")
    return folder


def program_of(source: Path, folder: Path) -> Path:
    """`folder` with a copy of all of `source`'s `fcnn`, which need be in no repository, without cached bytecode."""
    _copy(source / PROGRAM, folder / PROGRAM)
    return folder


def _lay_out_file(root: Path, name: str, target: Path) -> None:
    """Copies a file or link of the working tree, a link as what it leads to: no lock, no pipe, nothing deleted."""
    path = root / name
    if os.path.isdir(path):  # a link to a folder, of which again only what git would give counts  # noqa: PTH112
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(root)):
            _copy(real, target)
            return
        top = real.relative_to(os.path.realpath(root)).as_posix()
        for below in git.files_below(root, top):
            if not os.path.isdir(root / below):  # noqa: PTH112  # no link in a link, which may never end
                _lay_out_file(root, below, target / Path(below).relative_to(top))
    else:
        _copy(path, target)


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _copy(path: Path, target: Path) -> None:
    """Copies a file, or a folder without cached bytecode; nothing that is neither."""
    if os.path.isfile(path):  # pathlib's own raises for some names that cannot be  # noqa: PTH113
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    elif os.path.isdir(path):  # noqa: PTH112
        for below in sorted(path.rglob("*")):
            if "__pycache__" not in below.parts and not below.is_dir():
                _copy(below, target / below.relative_to(path))
