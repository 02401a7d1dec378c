"""The house rules, read off the import statements."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What each room may import from the project. `record` and `axes` are at the bottom of both chains.
# The ground that every room stands on: it imports nothing of the project.
GROUND = {"bench.errors", "bench.text", "bench.interruption", "bench.console", "bench.command", "bench.table"}
BOTTOM = {"bench.record", "bench.axes", *GROUND}
MEASURING = {"bench.measure", "bench.analyse", "fcnn", *BOTTOM}
ASKING = {"bench.workers", *MEASURING}
SUITE = {"bench.suite", "bench.report", *ASKING}
MAY_IMPORT = {
    **dict.fromkeys(GROUND, GROUND),
    "fcnn": {"fcnn"},
    "bench.record": BOTTOM,
    "bench.analyse": {"bench.analyse", *BOTTOM},
    "bench.axes": {"fcnn", *BOTTOM},
    "bench.measure": MEASURING,
    "bench.workers": {"bench.workers", *MEASURING},
    "bench.report": {"bench.report", "bench.analyse", *BOTTOM},
    "bench.suite": SUITE,
    "bench.gate": {"bench.gate", *SUITE},
    "bench.profile": {"bench.profile", "bench.gate", *SUITE},
    "bench.ladder": {"bench.ladder", "bench.profile", "bench.gate", *SUITE},
}
# What asks workers, and what is asked by it, beside these rooms.
ASKS = ("conversation", "process", "forge", "requests", "rounds", "serve", "start")
WITHOUT_TORCH = (*BOTTOM, "bench.analyse", "bench.report", *(f"bench.workers.{name}" for name in ASKS))
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


def at_once(path: Path) -> set[str]:
    """What a module imports when it is imported itself."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_run_one_way(path):
    room = room_of(module_name(path))
    if room is None:  # bench.cli and bench.__main__ stand above all rooms
        assert path.parent == ROOT / "bench"
        return
    # `from bench import console` names the module, `from bench.console import error` what is in it.
    used = {room_of(name) for name in imports(path)} - {None}
    assert used <= MAY_IMPORT[room]
    if room in WITHOUT_TORCH or module_name(path) in WITHOUT_TORCH:
        assert not [name for name in at_once(path) if name.split(".")[0] in ("torch", "torchvision")]


def test_the_rule_would_notice(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("import torch\nfrom bench.suite import run\n")
    assert imports(bad) == {"torch", "bench.suite.run"}
    assert room_of("bench.suite.run") not in MAY_IMPORT["bench.report"]


def code_lines(path: Path) -> list[str]:
    """The lines that are neither empty nor of an import."""
    text = path.read_text("utf-8")
    skipped = set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            skipped |= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    lines = enumerate(text.splitlines(), 1)
    return [line.strip() for number, line in lines if line.strip() and number not in skipped]


def test_no_module_is_long():
    assert not [path.name for path in MODULES if len(path.read_text("utf-8").splitlines()) > 300]


def test_no_two_modules_share_eight_lines():
    first: dict[tuple[str, ...], Path] = {}
    shared = []
    for path in MODULES:
        lines = code_lines(path)
        for window in {tuple(lines[at : at + 8]) for at in range(len(lines) - 7)}:
            if first.setdefault(window, path) != path:
                shared.append((path.name, first[window].name, window[0]))
    assert shared == []


def test_the_top_level_holds_nothing_else():
    allowed = {"bench", "fcnn", "results", "tests", "pyproject.toml", "README.md", "LICENSE"}
    tracked = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not path.name.endswith("info")}
    assert tracked - {"build", "dist"} <= allowed
