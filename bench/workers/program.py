"""Whose `fcnn` a process imports: that of one folder, and no other's, not even for a module that the folder lacks.

An editable installation answers for every module of `fcnn` that is not found on `sys.path`: a side of a comparison that
has lost a file, or never had it, would run the installed one's and pass. Imports no `fcnn` itself.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.workers.serve import State

PROGRAM = "fcnn"


class _From(importlib.abc.MetaPathFinder):
    """Finds the modules of the program in `tree`, or nowhere."""

    def __init__(self, tree: Path) -> None:
        self._tree = str(tree)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PROGRAM:
            return None
        if spec := PathFinder.find_spec(fullname, [self._tree] if path is None else path, target):
            return spec
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def take(state: State, tree: str) -> None:
    """A request: from now on, the worker's program is that of the folder `tree`."""
    import_from(Path(tree))
    state.tree = tree


def import_from(tree: Path) -> None:
    """From now on, this process imports the program from `tree` alone.

    Raises:
        RuntimeError: It has imported one already.
    """
    if PROGRAM in sys.modules:
        raise RuntimeError(f"{PROGRAM} was imported before it was said whose")
    sys.path.insert(0, str(tree))  # for the processes of a DataLoader
    sys.meta_path.insert(0, _From(tree))
