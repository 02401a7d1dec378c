"""The table, its sentences and its picture, with rows that were made up."""

import dataclasses
import functools
import io
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from bench import console
from bench.analyse.ladder import Ladder, LadderStep, same_accuracy
from bench.ladder import show
from bench.ladder.picture import picture
from bench.record import files
from bench.record.typed import converted
from bench.report.plot import Plot
from bench.text import one_line, plain
from tests.hostile import HOSTILE, markdown_cells, page_tags, shapes, with_text

TUTORIAL = LadderStep("tutorial", "", None, False, [7.0, 6.9, 7.1], 7.2, [0.931, 0.932], 0.5)
FAST = LadderStep("by hand", "autograd", 20, False, [0.1, 0.12, 0.11], 0.5, [0.931, 0.930], 0.4)
BLOCKED = LadderStep("bf16", "bytes", 1, False, reason="no instructions")
WRONG = LadderStep("too fast", "training", 1, False, [0.01], 0.01, [0.5], 1e-9)
PEER = LadderStep("JAX", "peer: jit + scan", None, True, [0.2, 0.22, 0.21], 2.0, [0.931], 0.6)
LADDER = Ladder("cpu", "Some CPU, 2 cores", "MNIST", "2.14.1", 0.05, [TUTORIAL, FAST, BLOCKED, WRONG, PEER])
DISTURBED = dataclasses.replace(LADDER, disturbed="other processes kept 1.0 cores busy meanwhile (rounds)")


@functools.cache
def drawn():
    """The ladder's picture, drawn once; of the other ladders here it is the same."""
    return picture(LADDER)


def marked_down(*ladders, pictures=None):
    return show.markdown(ladders, {ladder.device: drawn() for ladder in ladders} if pictures is None else pictures)


def section(*ladders, pictures=None):
    return show.section(ladders, {ladder.device: drawn() for ladder in ladders} if pictures is None else pictures)


def shown(ladder):
    terminal = console.make(io.StringIO())
    terminal.width = 100
    show.show(ladder, terminal)
    return terminal.file.getvalue()


def test_the_largest_gains_are_named_in_their_order_each_against_the_fastest_before_it():
    times = {"decoded": 3.5, "slower": 5.0, "index": 3.4, "fused": 2.8, "by hand": 0.7, "in C": 0.2}
    steps = [dataclasses.replace(FAST, name=name, seconds=[time] * 3) for name, time in times.items()]
    ladder = dataclasses.replace(LADDER, steps=[TUTORIAL, *steps[:3], WRONG, *steps[3:], PEER])
    gains = "The largest gains, each against the fastest step before it: decoded 2.0×, by hand 4.0×, in C 3.5×."
    assert gains in show.sentences(ladder)
    same = dataclasses.replace(LADDER, steps=[TUTORIAL, dataclasses.replace(FAST, seconds=[6.9, 6.8, 7.0])])
    assert not any("largest gains" in sentence for sentence in show.sentences(same))


def test_the_best_step_has_the_same_accuracy_and_is_no_peer():
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


def test_epochs_before_the_first_round_count_where_there_is_no_round_of_both():
    one = dataclasses.replace(FAST, seconds=[1.0, 1.0, 1.0], rounds=[0, 1, 2])
    other = dataclasses.replace(FAST, seconds=[9.0, 3.0], rounds=[0, 1])
    assert one.times(other) == pytest.approx(3)
    assert one.times(dataclasses.replace(other, seconds=[9.0], rounds=[0])) == pytest.approx(9)
    later = dataclasses.replace(other, seconds=[5.0, 4.0], rounds=[2, 3])  # of a ladder that was gone on with
    assert one.times(later) == pytest.approx(5)
    assert one.times(dataclasses.replace(other, seconds=[5.0], rounds=[7])) is None


def test_a_ladder_survives_its_file():
    assert converted(Ladder, dataclasses.asdict(LADDER)) == LADDER


def test_a_ladder_without_a_roofline_has_everything_else():
    without = dataclasses.replace(LADDER, roofline_seconds=None, roofline_reason="planted")
    assert show.notices(without) == ["The roofline bound is not known: planted."]
    assert [row[3] for row in show.rows(without)] == ["-"] * len(without.steps)
    assert show.sentences(without)[0].endswith("as fast as the tutorial.")
    root = ElementTree.fromstring(picture(without).svg)
    assert "roofline" not in "".join(root.itertext())


def test_a_roofline_that_latency_sets_is_called_that():
    gpu = dataclasses.replace(
        LADDER, device="cuda", roofline_bound="grid_barrier", roofline_reason="graph_node is not known: x"
    )
    assert show.sentences(gpu)[0].endswith(
        "2.2× the roofline bound of 50.0 ms, the least that launch latency allows "
        "(a barrier of the whole GPU per step)."
    )
    assert show.notices(gpu) == ["Not all of the roofline bound is known: graph_node is not known: x."]


def test_an_accuracy_says_whether_it_is_the_same():
    unknown = dataclasses.replace(FAST, accuracy_p=None)
    found = show.rows(dataclasses.replace(LADDER, steps=[TUTORIAL, WRONG, unknown]))
    assert [row[5] for row in found] == ["93.15%", "50.00% (another)", "93.05% (not judged)"]


# Interrupted on another device, which drew nothing.
GPU = dataclasses.replace(
    LADDER, device="cuda", machine="Some GPU with Some CPU, 2 cores", steps=[TUTORIAL, BLOCKED, PEER], interrupted=True
)
PICTURES = {"cpu": Plot("ladder-cpu", "Seconds", "<svg></svg>"), "cuda": Plot("", "", "", "it could not be drawn: why")}


def test_the_whole_markdown(snapshot):
    assert marked_down(LADDER, GPU, pictures=PICTURES) == snapshot


def test_the_whole_section_of_the_page(snapshot):
    assert section(LADDER, GPU, pictures=PICTURES) == snapshot


def test_the_whole_terminal(snapshot):
    lines = plain(shown(LADDER) + shown(GPU)).splitlines()  # without colours, which somebody may force
    assert "\n".join(line.rstrip() for line in lines) == snapshot


def test_without_a_reference_the_fastest_is_the_best_and_that_is_said():
    steps = [dataclasses.replace(step, accuracy_p=None) for step in LADDER.steps]
    unknown = dataclasses.replace(LADDER, steps=steps)
    assert unknown.best.name == min(steps, key=lambda s: (s.is_peer or not s.seconds, s.median or 0)).name
    assert "there is no reference for these images" in " ".join(show.sentences(unknown))
    assert "no reference" not in " ".join(show.sentences(LADDER))


def test_without_two_steps_there_is_no_verdict():
    nothing = dataclasses.replace(LADDER, steps=[dataclasses.replace(TUTORIAL, seconds=[], reason="failed")])
    alone = dataclasses.replace(LADDER, steps=[TUTORIAL, BLOCKED])
    for ladder in (nothing, alone):
        assert show.sentences(ladder) == ["Nothing was measured that could be compared."]


def test_a_step_below_the_roofline_says_why():
    below = dataclasses.replace(LADDER, roofline_seconds=0.2)
    assert show.sentences(below)[-1] == "The roofline bound counts products with black pixels, which it skips."
    assert "black" not in " ".join(show.sentences(dataclasses.replace(below, device="cuda")))  # there no step does


def test_a_step_that_had_no_turn_has_its_first_epoch_all_the_same():
    early = LadderStep("compiled", "calls", 3, False, [], 23.0, [0.93], reason="interrupted")
    ladder = dataclasses.replace(LADDER, steps=[TUTORIAL, early], interrupted=True)
    assert show.rows(ladder)[1] == ["compiled", "-", "-", "-", "23.0 s", "-", "-", "3", "calls (not here: interrupted)"]
    assert show.notices(ladder) == [
        "Interrupted: these numbers are what was measured by then, in fewer rounds than were asked for."
    ]


def test_a_disturbed_ladder_says_so_before_any_number_and_gives_no_verdict():
    notice = (
        "Disturbed: other processes kept 1.0 cores busy meanwhile (rounds). These numbers are of that mixture and not "
        "of the ladder steps: end the other processes or lift the quota, and run the ladder again."
    )
    text, html, out = marked_down(DISTURBED), section(DISTURBED), " ".join(shown(DISTURBED).split())
    chapter = text.splitlines()
    assert chapter[chapter.index("## On the CPU: Some CPU, 2 cores") + 2] == f"> **Note.** {notice}"
    assert out.startswith(f"On the CPU: Some CPU, 2 cores {notice}")
    assert f'<h3>On the CPU: Some CPU, 2 cores</h3>\n<p class="warning" role="note">{notice}</p>' in html
    assert "× as fast" in marked_down(LADDER).split("##")[1]
    assert "× as fast" not in text.split("##")[1] + html + out
    assert markdown_cells(text) == [[column.heading for column in show.COLUMNS], *show.rows(LADDER)]
    assert "110 ms" in out
    assert html.count("<svg") == 1


def test_the_picture_has_a_bar_a_step_and_the_roofline():
    root = ElementTree.fromstring(drawn().svg)
    words = ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for name in ("tutorial", "by hand", "JAX", "roofline bound", "110 ms"):
        assert name in words
    assert "bf16" not in words
    assert picture(LADDER) == drawn()
    assert picture(dataclasses.replace(LADDER, steps=[BLOCKED])) is None


def test_without_matplotlib_there_is_all_but_the_picture(monkeypatch):
    monkeypatch.delitem(sys.modules, "bench.report.drawing", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    missing = {"cpu": picture(LADDER)}
    assert "matplotlib" in missing["cpu"].problem
    text, html = marked_down(LADDER, pictures=missing), section(LADDER, pictures=missing)
    assert "There is no picture: it could not be drawn: " in text
    assert "There is no picture: it could not be drawn: " in html
    assert page_tags(html)
    assert "![" not in text
    assert "64.5× as" in text


def written(text):
    """A ladder with `text` behind all its texts, and what is written of it, and of one like it that has verdicts."""
    ladder = with_text(DISTURBED, text, keep=("device",))
    both, pictures = (ladder, dataclasses.replace(ladder, device="cuda", disturbed=None)), {"cpu": picture(ladder)}
    return ladder, section(*both, pictures=pictures), marked_down(*both, pictures=pictures), pictures["cpu"]


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    """The elements of both where the texts are harmless."""
    _, *texts, _ = written("x")
    return shapes(*texts, tmp_path_factory.mktemp("harmless"))


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_an_exporter(text, harmless, tmp_path):
    """The same elements as those of harmless text, and the text itself where it belongs."""
    ladder, *texts, plot = written(text)
    assert shapes(*texts, tmp_path) == harmless
    names = [show.COLUMNS[0].heading, *(one_line(step.name + text) for step in LADDER.steps)]
    assert [row[0] for row in markdown_cells(texts[1])] == [*names, *names]
    files.write(tmp_path / "picture.svg", plot.svg)
    words = ["".join(element.itertext()).strip() for element in ElementTree.parse(tmp_path / "picture.svg").iter()]
    assert one_line(f"tutorial{text}") in words
    files.write_json(tmp_path / "ladder.json", dataclasses.asdict(ladder))
    assert json.loads((tmp_path / "ladder.json").read_bytes().decode("utf-8"))["roofline_seconds"] == 0.05
    assert "\x1b" not in shown(ladder)


def test_every_device_has_a_chapter_and_a_picture_of_its_own():
    gpu = dataclasses.replace(LADDER, device="cuda", machine="Some GPU with Some CPU, 2 cores")
    pictures = {"cpu": drawn(), "cuda": picture(gpu)}
    text = marked_down(LADDER, gpu, pictures=pictures)
    assert text.index("## On the CPU: Some CPU") < text.index("ladder-cpu.svg") < text.index("## On the GPU: Some GPU")
    assert text.index("## On the GPU") < text.index("ladder-cuda.svg")
    page = section(LADDER, gpu, pictures=pictures)
    assert page.count("<svg") == 2
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
