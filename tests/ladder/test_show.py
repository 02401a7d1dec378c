"""The table, its sentences and its picture, with rows that were made up."""

import dataclasses
import io
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from bench import console
from bench.ladder import show
from bench.ladder.model import Ladder, Step, same_accuracy
from bench.ladder.picture import picture
from bench.record import files
from bench.text import one_line
from tests.hostile import HOSTILE, markdown_cells, markdown_shape, page_tags, with_text

TUTORIAL = Step("tutorial", "", None, False, [7.0, 6.9, 7.1], 7.2, [0.931, 0.932], 0.5)
FAST = Step("by hand", "autograd", 20, False, [0.1, 0.12, 0.11], 0.5, [0.931, 0.930], 0.4)
BLOCKED = Step("bf16", "bytes", 1, False, reason="no instructions")
WRONG = Step("too fast", "training", 1, False, [0.01], 0.01, [0.5], 1e-9)
PEER = Step("JAX", "peer: jit + scan", None, True, [0.2, 0.22, 0.21], 2.0, [0.931], 0.6)
LADDER = Ladder("cpu", "Some CPU, 2 cores", "MNIST", "2.14.1", 0.05, [TUTORIAL, FAST, BLOCKED, WRONG, PEER])
DISTURBED = dataclasses.replace(LADDER, disturbed="other processes kept 1.0 cores busy meanwhile (rounds)")


def marked_down(*ladders):
    return show.markdown(ladders, pictures(ladders))


def section(*ladders):
    return show.section(ladders, pictures(ladders))


def pictures(ladders):
    return {ladder.device: picture(ladder) for ladder in ladders}


def shown(ladder):
    terminal = console.make(io.StringIO())
    terminal.width = 100
    show.show(ladder, terminal)
    return terminal.file.getvalue()


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
    rows = show.rows(LADDER)
    assert rows[0] == ["tutorial", "7.0 s", "1.0", "140.0", "7.20 s", "93.15%", "6.8 to 7.2", "-", ""]
    assert rows[1] == ["by hand", "110 ms", "64.5", "2.2", "500 ms", "93.05%", "85 to 135", "20", "autograd"]
    assert rows[2] == ["bf16", "-", "-", "-", "-", "-", "-", "1", "bytes (not here: no instructions)"]
    assert rows[3][5] == "50.00% (another)"
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
    alone = dataclasses.replace(LADDER, steps=[TUTORIAL, BLOCKED])
    assert show.sentences(alone) == ["Nothing was measured that could be compared."]
    below = dataclasses.replace(LADDER, floor_seconds=0.2)
    assert show.sentences(below)[-1] == "The floor counts products with black pixels, which it skips."
    assert "black" not in " ".join(show.sentences(dataclasses.replace(below, device="cuda")))  # there no rung does


def test_a_rung_that_had_no_turn_has_its_first_epoch_all_the_same():
    early = Step("compiled", "calls", 3, False, [], 23.0, [0.93], reason="interrupted")
    ladder = dataclasses.replace(LADDER, steps=[TUTORIAL, early], interrupted=True)
    assert show.rows(ladder)[1] == ["compiled", "-", "-", "-", "23.0 s", "-", "-", "3", "calls (not here: interrupted)"]
    assert show.notices(ladder) == [
        "Interrupted: these numbers are what was measured by then, in fewer rounds than were asked for."
    ]


def test_markdown_and_terminal_have_every_row():
    text, out = marked_down(LADDER), shown(LADDER)
    for step in LADDER.steps:
        assert step.name in text
        assert step.name in out
    assert "bf16: no instructions" in out


def test_a_disturbed_ladder_says_so_before_any_number_and_gives_no_verdict():
    notice = (
        "Disturbed: other processes kept 1.0 cores busy meanwhile (rounds). These numbers are of that mixture and not "
        "of the rungs: end the other processes or lift the quota, and run the ladder again."
    )
    text, html, out = marked_down(DISTURBED), section(DISTURBED), " ".join(shown(DISTURBED).split())
    chapter = text.splitlines()
    assert chapter[chapter.index("## On the CPU: Some CPU, 2 cores") + 2] == f"> **Note.** {notice}"
    assert out.startswith(f"On the CPU: Some CPU, 2 cores {notice}")
    assert f'<h3>On the CPU: Some CPU, 2 cores</h3>\n<p class="warning" role="note">{notice}</p>' in html
    assert "times as fast" in marked_down(LADDER).split("##")[1]
    assert "times as fast" not in text.split("##")[1] + html + out
    assert markdown_cells(text) == [show.HEADINGS, *show.rows(LADDER)]
    assert "110 ms" in out
    assert html.count("<svg") == 1


def test_the_picture_has_a_bar_a_rung_and_the_floor():
    text = picture(LADDER).svg
    root = ElementTree.fromstring(text)
    words = ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for name in ("tutorial", "by hand", "JAX", "floor", "110 ms"):
        assert name in words
    assert "bf16" not in words
    assert picture(LADDER).svg == text
    assert picture(dataclasses.replace(LADDER, steps=[BLOCKED])) is None


def test_without_matplotlib_there_is_all_but_the_picture(monkeypatch):
    monkeypatch.delitem(sys.modules, "bench.report.drawing", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "matplotlib" in picture(LADDER).problem
    text, html = marked_down(LADDER), section(LADDER)
    assert "There is no picture: it could not be drawn: " in text
    assert "There is no picture: it could not be drawn: " in html
    assert page_tags(html)
    assert "![" not in text
    assert "64.5 times" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_an_exporter(text, tmp_path):
    """The same elements as those of harmless text, and the text itself where it belongs."""
    harmless, hostile = (with_text(DISTURBED, words, keep=("device",)) for words in ("x", text))
    for write, read in ((marked_down, markdown_shape), (section, page_tags)):
        files.write(tmp_path / "file", write(hostile))
        assert read((tmp_path / "file").read_text("utf-8")) == read(write(harmless))
    assert [row[0] for row in markdown_cells(marked_down(hostile))[1:]] == [
        one_line(step.name + text) for step in LADDER.steps
    ]
    files.write(tmp_path / "picture.svg", picture(hostile).svg)
    words = ["".join(element.itertext()).strip() for element in ElementTree.parse(tmp_path / "picture.svg").iter()]
    assert one_line(f"tutorial{text}") in words
    files.write_json(tmp_path / "ladder.json", dataclasses.asdict(hostile))
    assert json.loads((tmp_path / "ladder.json").read_bytes().decode("utf-8"))["floor_seconds"] == 0.05
    assert "\x1b" not in shown(hostile)


def test_the_reports_section_is_one_svg_and_its_sentences():
    text = section(LADDER)
    assert text.count("<svg") == 1
    assert "64.5 times" in text
    assert "<h3>On the CPU: Some CPU, 2 cores</h3>" in text


def test_every_device_has_a_chapter_and_a_picture_of_its_own():
    gpu = dataclasses.replace(LADDER, device="cuda", machine="Some GPU with Some CPU, 2 cores")
    text = marked_down(LADDER, gpu)
    assert text.index("## On the CPU: Some CPU") < text.index("ladder-cpu.svg") < text.index("## On the GPU: Some GPU")
    assert text.index("## On the GPU") < text.index("ladder-cuda.svg")
    page = section(LADDER, gpu)
    assert page.count("<svg") == 2
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
