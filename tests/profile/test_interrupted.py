"""Profiles that are ended early, or fail on one side: what is kept, and what is said."""

import json
import signal

import psutil
import pytest

from bench.cli import main
from bench.profile import verb
from bench.workers.conversation import WorkerError
from tests.commands import ANSWERED, COMMAND, MAIN, Command
from tests.profile.given import STEM, WRITTEN, files, give
from tests.profile.made import PROFILE, TRACED, changed
from tests.signals import sent_at

SOME = changed(interrupted=True, missing={"python": "interrupted"}, python_stacks={})


def test_an_interrupted_profile_is_kept_and_is_no_success(here, monkeypatch, capsys):
    give(monkeypatch, SOME)
    assert main(["profile", "--run", "run"]) == 3
    out, err = capsys.readouterr()
    assert err == "fcnn-bench: interrupted: the profile has what was measured by then\n"
    assert "no python: interrupted" in out
    assert files(here / "run") == WRITTEN - {f"{STEM}-python.svg"}
    assert json.loads((here / "run" / "profile.json").read_text())["interrupted"]


@pytest.mark.parametrize(
    ("profiles", "reason", "said"),
    [
        ((SOME, AssertionError("it was profiled")), "interrupted", "the profile has what was measured by then"),
        ((PROFILE, KeyboardInterrupt()), "interrupted", "interrupted: the profile has what was measured by then"),
        ((PROFILE, WorkerError("the process for trace failed")), "the process for trace failed", "no comparison: the"),
    ],
)
def test_the_first_side_of_a_comparison_is_kept(here, monkeypatch, capsys, profiles, reason, said):
    give(monkeypatch, *profiles)
    assert main(["profile", "--against", "step[cpu-b64-fp32]", "--run", "run"]) == 3
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert WRITTEN - {f"{STEM}-python.svg"} <= files(here / "run") <= WRITTEN
    assert f"No comparison: {reason}." in (here / "run" / "profile.md").read_text()
    assert f"Not here: {reason}." in (here / "run" / "profile.html").read_text()


def test_of_an_interrupted_second_side_the_comparison_is_kept(here, monkeypatch):
    give(monkeypatch, PROFILE, SOME)
    assert main(["profile", "--against", "step[cpu-b64-fp32]", "--run", "run"]) == 3
    assert files(here / "run") == {*WRITTEN, "profile-b.json"}


@pytest.mark.parametrize("at", [(verb, "profile"), (verb.page, "pictures"), (verb.later, "insert")])
def test_a_signal_after_the_last_part_waits_until_all_files_are_there(here, monkeypatch, capsys, at):
    sent_at(monkeypatch, *at)
    assert main(["profile", "--run", "run"]) == 3
    assert files(here / "run") == WRITTEN
    assert capsys.readouterr().err == "fcnn-bench: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "hangs", "kept", "said"),
    [
        ("trace", "trace", set(), ""),
        ("Python stacks", "loop", {"profile.json", "profile.html", "profile.md"}, ": the profile has what"),
    ],
)
def test_signals_leave_what_was_measured_and_no_process(tmp_path, what, hangs, kept, said):
    environment = {"HANGS_AT": hangs, "TRACED": json.dumps({**TRACED, "growth_bytes": 0, "disturbed": None})}
    words = ["profile", "step[cpu-b64-fp32]", "--run", "run"]
    command = Command(COMMAND + ANSWERED + MAIN, *words, folder=tmp_path, environment=environment)
    command.wait_until_said(what)
    started = psutil.Process(command.pid).children(recursive=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        command.send(number)
    ended = command.end()
    assert (ended.code, bool(ended.out), ended.err.count("\n")) == (3, bool(kept), 1)
    assert ended.err.startswith(f"fcnn-bench: interrupted{said}")
    run = tmp_path / "run"
    assert {file for file in files(run) if "/" not in file} == kept
    if kept:
        assert json.loads((run / "profile.json").read_text())["missing"] == {"python": "interrupted"}
    assert psutil.wait_procs(started, timeout=60)[1] == []
    assert command.temporary_files() == []
