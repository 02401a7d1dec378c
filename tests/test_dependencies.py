"""What is imported is declared in pyproject.toml, and the oldest version of it is among those that are tested."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COMES_WITH_TORCH = {"cuda", "triton"}  # where torch has it: on CUDA
OF_CI = {"hta"}  # .ci/run installs it, without what it asks for; the test that reads with it is skipped elsewhere


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras):
    """Requirements by the name of the distribution."""
    requirements = [
        *PROJECT["dependencies"],
        *(one for extra in extras for one in PROJECT["optional-dependencies"][extra]),
    ]
    return {plain(re.match(r"[\w.-]+", one)[0]): one for one in requirements}


def imported(folder):
    """Top-level names of modules."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.partition(".")[0])
    return names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "extras"), [("fcnn", ()), ("bench", ("peers",)), ("tests", ("test",))], ids=["fcnn", "bench", "tests"]
)
def test_what_is_imported_is_declared(folder, extras):
    names, distributions = declared(*extras), packages_distributions()
    # A module of this project or of Python's library belongs to no distribution, or to this project's.
    others = imported(folder) - COMES_WITH_TORCH - OF_CI - {"bench", "fcnn", "tests"}
    undeclared = {
        module
        for module in others
        if module in distributions and not names.keys() & set(map(plain, distributions[module]))
    }
    assert undeclared == set()


def test_the_oldest_version_that_is_allowed_is_tested():
    lines = (ROOT / ".ci/lowest.txt").read_text("utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    oldest = {name: re.search(r">=([\d.]+)", one)[1] for name, one in declared("peers").items()}
    assert tested.keys() == oldest.keys()
    # "9.0" is tested as "9.0.*", and as "9.0.0" where a later patch would not do.
    assert {name for name in oldest if not f"{tested[name]}.".startswith(f"{oldest[name]}.")} == set()


def test_no_python_is_too_new():
    assert "<" not in PROJECT["requires-python"]
