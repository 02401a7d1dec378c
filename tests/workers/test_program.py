import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# An editable installation's finder answers for the modules of this checkout, behind all others.
CHILD = """
import importlib.abc, sys
from importlib.machinery import PathFinder
from pathlib import Path

class Editable(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "fcnn":
            return PathFinder.find_spec(name, [str(Path(sys.argv[1], *name.split(".")[:-1]))])

sys.meta_path.append(Editable())
if sys.argv[3] == "late":
    import fcnn
from bench.workers.program import import_from
import_from(Path(sys.argv[2]))
exec(sys.argv[4])
"""


def said(tree: Path, code: str, when: str = "at once") -> str:
    words = [sys.executable, "-c", CHILD, str(ROOT), str(tree), when, code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    return (run.stdout.strip() or run.stderr.strip()).splitlines()[-1]


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "fcnn").mkdir()
    (tmp_path / "fcnn" / "__init__.py").write_text("")
    (tmp_path / "fcnn" / "model.py").write_text("WHOSE = 'the tree'\n")
    return tmp_path


def test_the_program_is_the_trees(tree):
    assert said(tree, "from fcnn.model import WHOSE; print(WHOSE)") == "the tree"
    assert said(tree, "from fcnn import model; print(model.WHOSE)") == "the tree"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import fcnn.hyperparameters", "ModuleNotFoundError: No module named 'fcnn.hyperparameters'"),
        ("from fcnn import hyperparameters", "ImportError: cannot import name 'hyperparameters' from 'fcnn'"),
    ],
)
def test_what_the_tree_lacks_is_nobody_elses(tree, code, message):
    assert said(tree, code).startswith(message)


def test_a_tree_without_a_program_has_none(tmp_path):
    assert said(tmp_path, "import fcnn") == "ModuleNotFoundError: No module named 'fcnn'"


def test_a_program_that_was_imported_before_is_refused(tree):
    assert said(tree, "", "late") == "RuntimeError: fcnn was imported before it was said whose"
