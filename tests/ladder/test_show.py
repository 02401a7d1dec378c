"""The table, its sentences and its picture, with rows that were made up."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from bench.ladder import show
from bench.ladder.show import Ladder, Step, same_accuracy

TUTORIAL = Step("tutorial", "", None, False, [7.0, 6.9, 7.1], 7.2, [0.931, 0.932], 0.5)
FAST = Step("by hand", "autograd", 20, False, [0.1, 0.12, 0.11], 0.5, [0.931, 0.930], 0.4)
BLOCKED = Step("bf16", "bytes", 1, False, reason="no instructions")
WRONG = Step("too fast", "training", 1, False, [0.01], 0.01, [0.5], 1e-9)
PEER = Step("JAX", "peer: jit + scan", None, True, [0.2, 0.22, 0.21], 2.0, [0.931], 0.6)
LADDER = Ladder("cpu", "Some CPU, 2 cores", "MNIST", "2.14.1", 0.05, [TUTORIAL, FAST, BLOCKED, WRONG, PEER])


def test_the_best_rung_has_the_same_accuracy_and_is_no_peer():
    assert LADDER.best is FAST
    peer_first = dataclasses.replace(LADDER, steps=[TUTORIAL, dataclasses.replace(PEER, seconds=[0.001])])
    assert peer_first.best is TUTORIAL


def test_an_accuracy_that_is_not_known_does_not_pass():
    assert [same_accuracy(step) for step in (FAST, WRONG, BLOCKED)] == [True, False, False]
    assert not same_accuracy(dataclasses.replace(FAST, accuracy_p=None))


def test_times_are_those_within_a_round():
    """A machine that is half as fast in the third round is so for both."""
    one, other = (dataclasses.replace(FAST, seconds=seconds) for seconds in ([1.0, 1.1, 2.0, 1.0], [3.0, 3.3, 6.0]))
    assert one.times(other) == pytest.approx(3)
    assert one.times(BLOCKED) is None


def test_rows():
    found = show.rows(LADDER)
    assert found[0] == ["tutorial", "7.0 s", "1.0", "140.0", "7.20 s", "93.15%", "6.8 to 7.2", "-", ""]
    assert found[1] == ["by hand", "110 ms", "64.5", "2.2", "500 ms", "93.05%", "85 to 135", "20", "autograd"]
    assert found[2] == ["bf16", "-", "-", "-", "-", "-", "-", "1", "bytes (not here: no instructions)"]
    assert found[3][5] == "50.00% (another)"
    unknown = dataclasses.replace(LADDER, steps=[TUTORIAL, dataclasses.replace(FAST, accuracy_p=None)])
    assert show.rows(unknown)[1][5] == "93.05% (not judged)"


def test_without_a_reference_the_fastest_is_the_best_and_that_is_said():
    steps = [dataclasses.replace(step, accuracy_p=None) for step in LADDER.steps]
    unknown = dataclasses.replace(LADDER, steps=steps)
    assert unknown.best.name == min(steps, key=lambda s: (s.is_peer or not s.seconds, s.median or 0)).name
    assert "there is no reference for these images" in " ".join(show.sentences(unknown))
    assert "no reference" not in " ".join(show.sentences(LADDER))


def test_it_comes_to_this():
    assert show.sentences(LADDER) == [
        "The best rung, by hand, takes 110 ms an epoch: 64.5 times as fast as the tutorial and 2.2 times the floor of "
        "50.0 ms.",
        "It is 1.9 times as fast as JAX (210 ms); from cold, 500 ms against 2.00 s.",
    ]
    nothing = dataclasses.replace(LADDER, steps=[dataclasses.replace(TUTORIAL, seconds=[], reason="failed")])
    assert show.sentences(nothing) == ["Nothing was measured that could be compared."]
    below = dataclasses.replace(LADDER, floor_seconds=0.2)
    assert show.sentences(below)[-1] == "The floor counts products with black pixels, which it skips."
    assert "black" not in " ".join(show.sentences(dataclasses.replace(below, device="cuda")))  # there no rung does


def test_markdown_and_terminal_have_every_row(capsys):
    text = show.markdown([LADDER])
    show.show(LADDER, Console(width=100))
    out = capsys.readouterr().out
    for step in LADDER.steps:
        assert step.name in text
        assert step.name in out
    assert "bf16: no instructions" in out


def test_the_picture_has_a_bar_a_rung_and_the_floor():
    text = show.picture(LADDER)
    root = ElementTree.fromstring(text)
    words = ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for name in ("tutorial", "by hand", "JAX", "floor", "110 ms"):
        assert name in words
    assert "bf16" not in words
    assert show.picture(LADDER) == text


def test_the_reports_section_is_one_svg_and_its_sentences():
    text = show.section([LADDER])
    assert text.count("<svg") == 1
    assert "64.5 times" in text
    assert "<h3>On the CPU: Some CPU, 2 cores</h3>" in text


def test_every_device_has_a_chapter_and_a_picture_of_its_own():
    gpu = dataclasses.replace(LADDER, device="cuda", machine="Some GPU with Some CPU, 2 cores")
    text = show.markdown([LADDER, gpu])
    assert text.index("## On the CPU: Some CPU") < text.index("ladder-cpu.svg") < text.index("## On the GPU: Some GPU")
    assert text.index("## On the GPU") < text.index("ladder-cuda.svg")
    page = show.section([LADDER, gpu])
    assert page.count("<svg") == 2
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
