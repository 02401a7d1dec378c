"""Help: what a screen holds, in what order, and that every choice is explained where it is made."""

import re
import subprocess
import sys

import pytest

from bench.axes.axis import AXES
from bench.cli import main, make_parser

VERBS = make_parser().get_default("verbs")


@pytest.fixture(autouse=True)
def _a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def help_of(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_first_help_fits_on_one_screen_and_has_each_verb_on_one_line(capsys, snapshot):
    text = help_of(capsys)
    assert len(text.splitlines()) <= 30
    for verb in VERBS:
        assert len(re.findall(rf"^ +{verb} +\S.*$", text, re.MULTILINE)) == 1
    assert text == snapshot


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_no_help_is_wider_than_the_terminal(verb, capsys):
    text = help_of(capsys, *([verb] if verb else []))
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_the_axes_are_explained_where_they_are_chosen_and_not_before(capsys, snapshot):
    assert "--precision" not in help_of(capsys)
    text = help_of(capsys, "run")
    plain = " ".join(text.split())
    for axis in AXES:
        assert f"--{axis.option}" in text
        for name, row in (axis.rows or {}).items():
            assert name in text
            assert getattr(row, "meaning", "") in plain
    assert text == snapshot


def test_every_option_says_what_it_does(capsys):
    for verb, parser in VERBS.items():
        for action in parser._actions:
            assert action.help, (verb, action.dest)


def test_what_sets_help_is_not_imported_before_it_is_asked_for():
    code = "from bench.cli import make_parser; make_parser(); import sys; print('rich_argparse' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
