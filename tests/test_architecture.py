"""The house rules, read off the import statements."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What each room may import from the project. `record` and `analyse` are at the bottom of both chains.
MAY_IMPORT = {
    "fcnn": {"fcnn"},
    "bench.record": {"bench.record"},
    "bench.analyse": {"bench.analyse", "bench.record"},
    "bench.axes": {"bench.axes", "bench.record", "fcnn"},
    "bench.measure": {"bench.measure", "bench.axes", "bench.analyse", "bench.record", "fcnn"},
    "bench.report": {"bench.report", "bench.analyse", "bench.record"},
    "bench.gate": {"bench.gate", "bench.suite", "bench.measure", "bench.axes", "bench.analyse", "bench.record", "fcnn"},
    "bench.profile": {
        "bench.profile",
        "bench.gate",
        "bench.suite",
        "bench.measure",
        "bench.axes",
        "bench.analyse",
        "bench.record",
        "bench.report",
        "fcnn",
    },
    "bench.ladder": {
        "bench.ladder",
        "bench.profile",
        "bench.gate",
        "bench.suite",
        "bench.measure",
        "bench.axes",
        "bench.analyse",
        "bench.record",
        "bench.report",
        "fcnn",
    },
    "bench.suite": {
        "bench.suite",
        "bench.measure",
        "bench.axes",
        "bench.analyse",
        "bench.record",
        "bench.report",
        "fcnn",
    },
}
WITHOUT_TORCH = ("bench.record", "bench.analyse", "bench.report")
MODULES = sorted([*ROOT.glob("bench/**/*.py"), *ROOT.glob("fcnn/**/*.py")])


def room_of(module: str) -> str | None:
    return next((room for room in MAY_IMPORT if module == room or module.startswith(f"{room}.")), None)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_run_one_way(path):
    room = room_of(module_name(path))
    if room is None:  # bench.cli and bench.__main__ stand above all rooms
        assert path.parent == ROOT / "bench"
        return
    used = {room_of(name) for name in imports(path)} - {None}
    assert used <= MAY_IMPORT[room]
    if room in WITHOUT_TORCH:
        assert not [name for name in imports(path) if name.split(".")[0] in ("torch", "torchvision")]


def test_the_rule_would_notice(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("import torch\nfrom bench.suite import run\n")
    assert imports(bad) == {"torch", "bench.suite.run"}
    assert room_of("bench.suite.run") not in MAY_IMPORT["bench.report"]


def test_the_top_level_holds_nothing_else():
    allowed = {"bench", "fcnn", "results", "tests", "pyproject.toml", "README.md", "LICENSE"}
    tracked = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not path.name.endswith("info")}
    assert tracked - {"build", "dist"} <= allowed
