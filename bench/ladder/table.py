"""All rows of the ladder: the rungs in their order, then the peers."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from pathlib import Path

from bench.ladder import peers
from bench.ladder.rungs import RUNGS, Rung

PEERS = (
    Rung(
        "scikit-learn", peers.scikit_learn, "peer: MLPClassifier", peers.missing("sklearn", "pip install scikit-learn")
    ),
    Rung("JAX", peers.jax_scan, "peer: jit + scan", peers.missing("jax", "'.[peers]'")),
)
ROWS = {rung.name: rung for rung in (*RUNGS, *PEERS)}


def lines_changed(rung: Rung) -> int | None:
    """Lines of the rung's code that the one before it does not have; None for the first and for peers."""
    at = next((number for number, one in enumerate(RUNGS) if one is rung), 0)
    if at == 0:
        return None
    before, after = _code(RUNGS[at - 1]), _code(rung)
    kept = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return len(after) - sum(block.size for block in kept)


def _code(rung: Rung) -> list[str]:
    """The lines of a rung's functions and files, without the functions' heads, docstrings and comments."""
    lines: list[str] = []
    for one in (rung.make, *rung.also):
        if isinstance(one, Path):
            lines += [line for line in one.read_text("utf-8").splitlines() if line.strip()]
            continue
        function = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(function, ast.FunctionDef)
        body = function.body[1:] if ast.get_docstring(function) else function.body
        lines += [line for statement in body for line in ast.unparse(statement).splitlines()]
    return lines
