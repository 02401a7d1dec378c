"""A run that was killed: what its journal holds is reported, and it goes on."""

import json
import signal
from pathlib import Path

import pytest

from bench.cli import main
from bench.record.store import read
from tests.suite.small_runs import LONG, start

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_run_that_was_killed_is_reported_and_goes_on(data, tmp_path, capsys):
    """By a signal that nobody can notice."""
    words = [*LONG[:-2], "--seeds", "3", "--results", tmp_path / "results"]
    command = start(data, *words, folder=tmp_path, environment={"BEGUN": str(tmp_path / "begun"), "HANGS": "1"})
    command.wait_for((tmp_path / "begun").exists)
    command.send(signal.SIGKILL)
    assert command.end().code == -signal.SIGKILL
    (folder,) = (tmp_path / "results").glob("*/*")
    assert sorted(path.name for path in folder.iterdir()) == ["journal.jsonl"]
    killed = read(folder)
    assert [len(m.samples_seconds) > 2 for m in killed.measurements] == [True, True]
    assert main(["report", str(folder), "--output", str(tmp_path / "report")]) == 0
    assert "interrupted" in (tmp_path / "report" / "report.md").read_text()
    ended = start(data, "run", "--resume", folder, folder=tmp_path).end()
    assert (ended.code, ended.err) == (0, "")
    record = read(folder)
    assert not record.partial
    assert len(record.measurements) == 4
    assert record.measurements[0].samples_seconds == killed.measurements[0].samples_seconds
    assert (folder / "report.html").exists()
    assert not (folder / "journal.jsonl").exists()


@pytest.mark.slow
def test_a_run_does_not_go_on_with_another_program_or_when_it_has_ended(data, tmp_path):
    words = [*LONG[:-2], "--seeds", "3", "--results", tmp_path / "results"]
    command = start(data, *words, folder=tmp_path, environment={"BEGUN": str(tmp_path / "begun"), "HANGS": "1"})
    command.wait_for((tmp_path / "begun").exists)
    command.send(signal.SIGKILL)
    command.end()
    (folder,) = (tmp_path / "results").glob("*/*")
    journal = folder / "journal.jsonl"
    head, *rest = journal.read_text().splitlines()
    other = json.dumps({**json.loads(head), "program": "0" * 64})
    journal.write_text("\n".join([other, *rest]) + "\n")
    ended = start(data, "run", "--resume", folder, folder=tmp_path).end()
    assert (ended.code, ended.err) == (
        2, f"fcnn-bench: {folder}: the run cannot go on: its program is not the same any more\n",
    )  # fmt: skip
    journal.write_text("\n".join([head, *rest, '{"kind": "end", "at": 1e3}']) + "\n")
    ended = start(data, "run", "--resume", folder, folder=tmp_path).end()
    assert (ended.code, ended.err) == (
        2, f"fcnn-bench: {folder}: this run has come to its end: fcnn-bench report {folder}\n",
    )  # fmt: skip


def test_there_is_nothing_to_go_on_with(tmp_path, capsys):
    assert main(["run", "--resume", str(tmp_path)]) == 3
    assert (
        capsys.readouterr().err
        == f"fcnn-bench: {tmp_path}/journal.jsonl cannot be written: No such file or directory\n"
    )


def test_a_run_that_has_its_record_and_no_journal_any_more_has_come_to_its_end(tmp_path, capsys):
    (tmp_path / "record.json").write_text("{}")
    assert main(["run", "--resume", str(tmp_path)]) == 2
    ended = f"fcnn-bench: {tmp_path}: this run has come to its end: fcnn-bench report {tmp_path}\n"
    assert capsys.readouterr().err == ended
