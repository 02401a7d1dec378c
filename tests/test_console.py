"""Where output goes, and what becomes of it where it cannot go."""

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from bench import console
from bench.console import Tolerant


class Terminal(io.StringIO):
    """Stands for a terminal."""

    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """Stands for a disk that is full, or for a reader that has gone."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_stream_that_breaks_goes_silent():
    stream = Tolerant(Full())
    assert stream.write("lost") == 4
    stream.flush()
    assert not stream.isatty()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_what_is_left_in_its_buffers_goes_nowhere():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        stream = Tolerant(full)
        stream.write("lost")
        stream.flush()
        full.write("also lost, and no error when it is closed")


def test_a_pipe_that_does_not_block_gets_everything_and_is_given_back_as_it_was():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb") as ours, os.fdopen(writing, "w") as theirs:
        taken = []
        reader = threading.Thread(target=lambda: taken.append(ours.read(1_000_000)))
        stream = Tolerant(theirs)
        reader.start()
        stream.write("x" * 1_000_000)  # far more than a pipe holds
        stream.give_back()
        reader.join()
        assert taken == [b"x" * 1_000_000]
        assert not os.get_blocking(theirs.fileno())


def test_where_nobody_can_tell_whether_a_stream_blocks_it_is_taken_as_it_is(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "get_blocking")  # as on Windows before Python 3.12
    with (tmp_path / "out").open("w") as file:
        stream = Tolerant(file)
        assert stream.write("kept") == 4
        stream.give_back()
    assert (tmp_path / "out").read_text() == "kept"


def test_no_stream_at_all_is_a_silent_one():
    stream = Tolerant(None)
    assert stream.write("lost") == 4
    with pytest.raises(io.UnsupportedOperation):
        stream.fileno()


def test_what_a_stream_cannot_show_is_replaced():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = Tolerant(file)
    stream.write("521 µs ± 3% × 2 → 😀 \udcff")
    stream.flush()
    assert file.buffer.getvalue() == b"521 us +- 3% x 2 -> ? ?"


def test_the_streams_are_put_back():
    before = sys.stdout, sys.stderr
    with console.tolerant_streams():
        assert isinstance(sys.stdout, Tolerant)
    assert (sys.stdout, sys.stderr) == before


def test_text_is_never_markup(capsys):
    terminal = console.make()
    terminal.print("step[cpu-b64-fp32] [/b] [bold]x[/bold] :smile:")
    assert capsys.readouterr().out == "step[cpu-b64-fp32] [/b] [bold]x[/bold] :smile:\n"


@pytest.mark.parametrize(("columns", "width"), [("0", 80), ("120", 120), ("nonsense", 80), ("²", 80)])
def test_a_width_of_nothing_is_none(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert console.make(io.StringIO()).width == width


def test_an_error_is_one_line(capsys):
    console.error("first\nsecond \x1b[31mred [/b]")
    assert capsys.readouterr().err == "fcnn-bench: first second red [/b]\n"


@pytest.mark.parametrize(
    ("stream", "variables", "live"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"TERM": "xterm", "CI": "1"}, False),
        (Terminal(), {"TERM": "xterm", "CI": "false"}, True),
        (Terminal(), {"TERM": "xterm", "CI": ""}, True),
        (io.StringIO(), {"FORCE_COLOR": "1"}, False),
        (io.StringIO(), {"TTY_COMPATIBLE": "1"}, False),
    ],
)
def test_lines_are_drawn_over_on_terminals_only(stream, variables, live, monkeypatch):
    for name in ("CI", "FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = console.make(stream)
    assert console.is_live(terminal) is live
    with console.Bar(terminal, 10.0) as bar, console.working(console.make(io.StringIO())) as say:
        say("nobody sees it")
        bar.show("step[cpu-b64-fp32]", "about 3.5 s left", 5.0)
    assert ("step[cpu-b64-fp32]" in stream.getvalue()) is live
    assert ("about 3.5 s left" in stream.getvalue()) is live


def test_the_bar_never_goes_back(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")  # what is left is not drawn then
    monkeypatch.delenv("CI", raising=False)
    stream = Terminal()
    filled = []
    with console.Bar(console.make(stream), 10.0) as bar:
        for done_seconds in (2.0, 8.0, 3.0, 10.0):
            stream.truncate(0)
            bar.show("steps", "some time left", done_seconds)
            filled.append(stream.getvalue().count("━"))
    assert 0 < filled[0] < filled[1] == filled[2] < filled[3]


def test_what_is_under_way_is_shown_on_a_terminal(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with console.working(console.make(stream)) as say:
        say("timing [b]")
    assert "timing [b] ..." in stream.getvalue()


def test_a_console_keeps_its_stream_when_output_is_redirected(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    terminal = console.make()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    terminal.print("here")
    assert stream.getvalue() == "here\n"
