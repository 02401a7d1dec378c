"""The README's promises that a test can hold: its verbs exist, its files are there, its examples run."""

import re
import subprocess
from pathlib import Path

import pytest

from bench.cli import main, make_parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_it_names_every_verb_and_no_other():
    table = TEXT.partition("## The verbs")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `fcnn-bench (\w+)", table, re.MULTILINE))
    assert named == set(make_parser().get_default("verbs"))


def test_its_options_exist():
    parsers = [make_parser(), *make_parser().get_default("verbs").values()]
    known = {name for parser in parsers for action in parser._actions for name in action.option_strings}
    of_others = {"--benchmark-only", "--benchmark-save", "--fcnn-batch", "--snapshot-update"}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", TEXT)) <= known | of_others


def test_what_it_links_to_is_there():
    assert [path for path in re.findall(r"\]\(([^)#:]+)\)", TEXT) if not (ROOT / path).exists()] == []


@pytest.mark.slow
def test_its_python_runs(capsys):
    code, _ = PYTHON
    exec(code, {"my_step": lambda: sum(range(1000)), "my_other_step": lambda: sum(range(1100))})
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.slow
def test_its_program_is_checked_by_its_workflows_command_in_another_repository(tmp_path, monkeypatch, capsys):
    _, program = PYTHON
    (command,) = re.findall(r"run: fcnn-bench (check --program training\.py) ", TEXT)
    (tmp_path / "training.py").write_text(program)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training.py").write_text(program.replace("model(x), y).backward()", "model(x.clone()), y).backward()"))
    assert main([*command.split(), "HEAD", "--gates", "counts", "--batch", "8"]) == 1
    assert "aten::clone float32 0 -> 1 per step: a copy of a tensor" in " ".join(capsys.readouterr().out.split())
