"""The verb from end to end: exit codes, files, and what it refuses; small images, real workers."""

import contextlib
import json
import signal
import subprocess
from pathlib import Path

import pytest

from bench.cli import main
from bench.gate import check, verb, whole
from bench.gate.outcome import Outcome
from bench.gate.sides import Sides
from tests.signals import sent_at

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "--bound", "0.1"], "argument --bound: '0.1' is not a percentage from 1 to 100"),
        (["check", "--bound", "x"], "argument --bound: 'x' is not a percentage"),
        (["check", "--gates", "speed"], "argument --gates: invalid choice: 'speed'"),
    ],
)
def test_usage_errors_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_ref_is_not_comparable(mnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = main(["check", "no-such-ref", "--gates", "counts", "--data", str(mnist_root), "--output", str(tmp_path)])
    assert code == 4
    assert "'no-such-ref' is no commit here" in capsys.readouterr().err


def test_images_without_a_reference_are_not_comparable(mnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = main(["check", "HEAD", "--data", str(mnist_root), "--output", str(tmp_path / "out")])
    assert code == 4
    assert "is of other images than those here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_outside_of_a_checkout_is_not_comparable(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "HEAD"]) == 4
    assert "not a git repository" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["disturbance", "write"])
def test_a_signal_after_the_last_gate_costs_no_outcome(mnist_root, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(check, "sides_with", lambda *_, **__: contextlib.nullcontext(Sides(None, None)))
    monkeypatch.setitem(check.GATES, "counts", lambda *_: iter([Outcome("counts", "step", "PASS", "none has changed")]))
    at = (whole.Surroundings, "disturbance") if name == "disturbance" else (verb, "write")
    sent_at(monkeypatch, *at, signal.SIGTERM)
    words = ["check", "HEAD", "--gates", "counts", "--data", str(mnist_root), "--output", str(tmp_path / "out")]
    assert main(words) == 3
    assert json.loads((tmp_path / "out" / "check.json").read_text())["verdict"] == "PASS"
    out, err = capsys.readouterr()
    assert "none has changed" in out
    assert err == "fcnn-bench: interrupted\n"


@pytest.mark.slow
def test_an_unchanged_tree_passes_and_leaves_its_files(mnist_root, tmp_path, monkeypatch, capsys):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    (clone / "README.md").write_text("documentation alone\n")
    monkeypatch.chdir(clone)
    words = ["check", "HEAD", "--gates", "counts", "--data", str(mnist_root)]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    assert "PASS against" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    assert {outcome["verdict"] for outcome in found["outcomes"]} == {"PASS"}
    assert {outcome["gate"] for outcome in found["outcomes"]} == {"counts"}
    assert (found["verdict"], found["exit_code"]) == ("PASS", 0)
