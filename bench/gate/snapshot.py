"""A commit's files with its links followed, as they would be if it were checked out; nothing is checked out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import git

MOST_LINKS = 40  # on the way to one file; Linux takes as many


class Snapshot:
    """What a commit holds.

    Args:
        root: The checkout, to which links may lead out of the commit.
        commit: Its id.
        names: The folders that are looked for: without a link in them, the rest of the commit is of no interest.

    Raises:
        BenchError: git has no answer.
    """

    def __init__(self, root: Path, commit: str, *names: str) -> None:
        self._root, self._entries = root, git.entries(root, commit, *names)
        if any(entry.is_link for entry in self._entries.values()):
            self._entries = git.entries(root, commit)  # they may lead anywhere
        links = [path for path, entry in self._entries.items() if entry.is_link]
        self._links = {path: os.fsdecode(content) for path, content in self.contents(links).items()}

    def contents(self, paths: Sequence[str]) -> dict[str, bytes]:
        """What these files hold, or where these links lead."""
        return dict(zip(paths, git.blobs(self._root, [self._entries[path].id for path in paths]), strict=True))

    def files(self, name: str, target: str = "", *, linked: bool = False) -> Iterator[tuple[str, str | Path]]:
        """All files below `name`, or itself: its path, and the file of the commit that it is, or one outside of it.

        In a folder that a link leads to, links lead to files alone: it might never end.
        """
        target, real = target or name, self._real(name)
        if real is None:
            return
        if isinstance(real, Path) or real in self._entries:
            yield target, real
        elif not (linked and name in self._links):
            linked = linked or name in self._links
            for below in self._entries:
                if below.startswith(f"{real}/"):
                    yield from self.files(below, f"{target}{below.removeprefix(real)}", linked=linked)

    def _real(self, name: str) -> str | Path | None:
        """Where a path leads, its links followed as a file system would; a Path out of the commit; None in a circle."""
        done: list[str] = []
        left, followed = name.split("/"), 0
        while left:
            part = left.pop(0)
            if part == os.pardir and not done:
                return Path(os.path.normpath(Path(self._root, part, *left)))
            if part == os.pardir:
                done.pop()
            elif part not in ("", os.curdir):
                done.append(part)
            target = self._links.get("/".join(done))
            if target is None:
                continue
            followed += 1
            if followed > MOST_LINKS:
                return None
            done.pop()
            absolute = Path(target)
            if absolute.is_absolute():
                if not absolute.is_relative_to(self._root):
                    return absolute.joinpath(*left)
                done, target = [], absolute.relative_to(self._root).as_posix()
            left = [*target.split("/"), *left]
        return "/".join(done)
