import argparse
import errno
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.parser import Parser
from fcnn import output
from fcnn.cli import make_parser
from fcnn.output import failure_line, show, step_counter

PYTHON = shlex.quote(sys.executable)  # in a shell's command, whatever folder it lies in
ROOT = Path(__file__).parents[2]
# Unbuffered streams leave nothing to be flushed at the interpreter's end, which is where the exit code is at stake.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
TALK = r"""
import sys
from fcnn.output import safe_streams, show
with safe_streams():
    for line in range(9):
        show("caf\u00e9 \udcff", sys.stdout)
        show("caf\u00e9", sys.stderr)
    sys.exit(2)
"""


def talk(redirection: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program that prints and then exits with code 2, under a shell's redirection; `show` needs no torch."""
    command = f"{PYTHON} -c '{TALK}' {redirection}"
    return subprocess.run(
        ["bash", "-c", f"{command}; echo exit code $?"],
        cwd=ROOT,
        env={**BUFFERED, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("redirection", [">/dev/full 2>/dev/null", ">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_streams_that_are_full_or_closed_change_neither_the_exit_code_nor_the_rest(redirection):
    run = talk(redirection)
    assert run.stdout == "exit code 2\n"
    assert run.stderr == ""


def test_a_reader_that_has_gone_changes_neither_the_exit_code_nor_the_rest():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", TALK]
    run = subprocess.run(command, cwd=ROOT, env=BUFFERED, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr.decode().splitlines()) == (2, ["caf\u00e9"] * 9)


def test_what_an_encoding_does_not_have_is_written_as_its_escape():
    run = talk("", PYTHONIOENCODING="ascii")
    assert run.stdout.splitlines() == [r"caf\xe9 \udcff"] * 9 + ["exit code 2"]
    assert run.stderr.splitlines() == [r"caf\xe9"] * 9


@pytest.mark.parametrize("option", ["--help", "--unknown"])
def test_the_options_help_can_be_lost_as_well(option):
    command = f"{PYTHON} -m fcnn {option} >/dev/full 2>/dev/full; echo $?"
    run = subprocess.run(["bash", "-c", command], cwd=ROOT, env=BUFFERED, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ({"--help": "0\n", "--unknown": "2\n"}[option], "")


@pytest.mark.parametrize("make", [make_parser, Parser])
def test_a_message_that_cannot_be_written_leaves_the_exit_code(make, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(argparse.ArgumentParser, "_print_message", full)  # as Python 3.11.2 has it
    with pytest.raises(SystemExit) as ended:
        make().parse_args(["--unknown"])
    assert ended.value.code == 2


def test_a_line_stays_one_line_whatever_stands_in_it():
    stream = io.StringIO()
    show("data root [red]a\nb\x1b[2Jc\x9b[/red]", stream)
    assert stream.getvalue() == "data root [red]a\\nb\\x1b[2Jc\\x9b[/red]\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(output, "REDRAW_SECONDS", 0.0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    return terminal


def test_a_terminal_sees_the_steps_in_one_line(monkeypatch):
    terminal = on_terminal(monkeypatch)
    count = step_counter(938)
    count(1)
    count(2)
    assert terminal.getvalue() == "step 1/938\rstep 2/938\r"


def test_the_line_is_drawn_some_times_a_second_however_quick_the_steps(monkeypatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(output, "REDRAW_SECONDS", 3600.0)
    count = step_counter(938)
    for step in range(938):
        count(step)
    assert terminal.getvalue() == ""


def test_steps_are_not_counted_into_a_log(monkeypatch):
    on_terminal(monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("CI", "1")
    assert step_counter(938) is None
    monkeypatch.delenv("CI")
    assert step_counter(938)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert step_counter(938) is None
    monkeypatch.setattr(sys, "stdout", None)
    assert step_counter(938) is None


def test_a_terminal_that_goes_away_does_not_end_the_epoch(monkeypatch):
    terminal = on_terminal(monkeypatch)

    def gone(text: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(terminal, "write", gone)
    step_counter(938)(1)


def test_a_failure_is_one_line_and_its_traceback_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path))
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError as error:
        line = failure_line(error)
    (log,) = tmp_path.iterdir()
    assert line == f"RuntimeError: first (traceback: {log})"
    assert "raise RuntimeError" in log.read_text()
    assert failure_line(MemoryError()).startswith("MemoryError: no reason given (traceback: ")


def test_a_failure_is_one_line_without_a_temporary_folder_too(monkeypatch, tmp_path):
    monkeypatch.setattr(output.tempfile, "tempdir", str(tmp_path / "nowhere"))
    expected = "ValueError: x (the traceback cannot be kept: No such file or directory)"
    assert failure_line(ValueError("x")) == expected


def test_a_missing_torch_names_the_remedy():
    line = failure_line(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert line == "torch is missing: pip install torch"
