"""The table, its sentences and the verb, with rows that were made up."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from bench.cli import main
from bench.gate.accuracy import Reference
from bench.ladder import show, verb
from bench.ladder.show import Ladder, Step, same_accuracy
from bench.suite.fresh import FreshError
from fcnn.data import embedded_images

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


def test_rows():
    found = show.rows(LADDER)
    assert found[0] == ["tutorial", "7.00 s", "1.0", "140.0", "7.20 s", "93.15%", "-", ""]
    assert found[1] == ["by hand", "110 ms", "63.6", "2.2", "500 ms", "93.05%", "20", "autograd"]
    assert found[2] == ["bf16", "-", "-", "-", "-", "-", "1", "bytes (not here: no instructions)"]
    assert found[3][5] == "50.00% (another)"
    unknown = dataclasses.replace(LADDER, steps=[TUTORIAL, dataclasses.replace(FAST, accuracy_p=None)])
    assert show.rows(unknown)[1][5] == "93.05% (not judged)"


def test_it_comes_to_this():
    assert show.sentences(LADDER) == [
        "The best rung, by hand, takes 110 ms an epoch: 63.6 times as fast as the tutorial and 2.2 times the floor of "
        "50.0 ms.",
        "It is 1.9 times as fast as JAX (210 ms); from cold, 500 ms against 2.00 s.",
    ]
    nothing = dataclasses.replace(LADDER, steps=[dataclasses.replace(TUTORIAL, seconds=[], reason="failed")])
    assert show.sentences(nothing) == ["Nothing was measured that could be compared."]
    below = dataclasses.replace(LADDER, floor_seconds=0.2)
    assert show.sentences(below)[-1] == "The floor counts products with black pixels, which it skips."


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
    assert "63.6 times" in text
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


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Where rungs take what they are told."""
    monkeypatch.chdir(tmp_path)
    images = embedded_images("asked for")
    monkeypatch.setattr(verb, "load_images", lambda name, data: images)
    known = Reference(images.name, images.sha256, 1, list(range(100)), [0.93, 0.932] * 50, {})
    monkeypatch.setattr(verb.accuracy, "read_reference", lambda *_: known)
    answers = {"floor": {"seconds": 0.05}}

    def ask(module, request, **environment):
        assert module == "bench.ladder.child"
        asked.append((request["device"], request["name"]))
        found = answers.get(
            request["name"], {"cold_seconds": 2.0, "seconds": [1.0, 1.1], "test_accuracy_fraction": [0.931, 0.931]}
        )
        if "error" in found:
            raise FreshError(found["error"])
        return found

    monkeypatch.setattr(verb, "ask", ask)
    return answers


asked: list[tuple[str, str]] = []


@pytest.fixture
def gpu(monkeypatch):
    """Stands for a GPU that has all that its rungs need."""
    model = dataclasses.replace(verb.DEVICES["cuda"], why_missing=lambda: None, model=lambda: "Some GPU")
    monkeypatch.setitem(verb.DEVICES, "cuda", model)
    monkeypatch.setitem(verb.RUNGS, "cuda", [
        dataclasses.replace(rung, why_not=lambda: None) for rung in verb.RUNGS["cuda"]
    ])  # fmt: skip


def test_the_verb_writes_the_ladder(here, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").write_text("<main><!-- ladder --><!-- /ladder --></main>")
    assert main(["ladder", "--run", "run"]) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"ladder.md", "ladder.json", "ladder-cpu.svg", "report.html"}
    (data,) = json.loads((tmp_path / "run" / "ladder.json").read_text())["ladders"]
    assert [step["name"] for step in data["steps"]][:2] == ["tutorial", "workers"]
    assert data["steps"][0]["accuracy_p"] > 0.001
    assert '<section id="ladder">' in (tmp_path / "run" / "report.html").read_text()
    out = capsys.readouterr().out
    assert "On the CPU: " in out
    assert "ladder: run/ladder.md" in out


def test_both_devices_are_climbed_where_both_are(here, gpu, tmp_path, capsys):
    asked.clear()
    assert main(["ladder", "--run", "run", "--rungs", "graph an epoch", "JAX"]) == 0
    cpu, cuda = json.loads((tmp_path / "run" / "ladder.json").read_text())["ladders"]
    assert [step["name"] for step in cpu["steps"]] == ["tutorial", "JAX"]
    assert [step["name"] for step in cuda["steps"]] == ["tutorial", "graph an epoch", "JAX"]
    assert asked == [
        ("cpu", "floor"), ("cpu", "tutorial"), ("cpu", "JAX"),
        ("cuda", "floor"), ("cuda", "tutorial"), ("cuda", "graph an epoch"), ("cuda", "JAX"),
    ]  # fmt: skip
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"ladder-cpu.svg", "ladder-cuda.svg"}
    assert "On the GPU: Some GPU with " in capsys.readouterr().out


def test_a_device_that_is_not_here_is_told_with_its_reason(here, monkeypatch, capsys):
    away = dataclasses.replace(verb.DEVICES["cuda"], why_missing=lambda: "no CUDA GPU here")
    monkeypatch.setitem(verb.DEVICES, "cuda", away)
    assert main(["ladder", "--run", "run", "--rungs", "fused Adam"]) == 0
    assert "No ladder for cuda: no CUDA GPU here" in capsys.readouterr().out
    assert main(["ladder", "--run", "run", "--device", "cuda"]) == 3
    assert capsys.readouterr().err == "fcnn-bench: nothing can be measured: no CUDA GPU here\n"


def test_a_device_that_has_no_ladder_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["ladder", "--device", "tpu"])
    assert exit.value.code == 2


def test_a_rung_that_fails_is_kept_with_its_reason(here, tmp_path):
    here["fused Adam"] = {"error": "RuntimeError: planted"}
    assert main(["ladder", "--run", "run", "--rungs", "fused Adam"]) == 0
    (data,) = json.loads((tmp_path / "run" / "ladder.json").read_text())["ladders"]
    assert [(step["name"], step["reason"]) for step in data["steps"]] == [
        ("tutorial", None), ("fused Adam", "RuntimeError: planted"),
    ]  # fmt: skip


def test_without_the_tutorial_nothing_was_measured(here):
    here["tutorial"] = {"error": "planted"}
    assert main(["ladder", "--run", "run", "--rungs", "fused Adam"]) == 3


def test_without_a_floor_nothing_is_written(here, tmp_path, capsys):
    here["floor"] = {"error": "planted"}
    assert main(["ladder", "--run", "run"]) == 3
    assert "the floor could not be measured: planted" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unknown_rung_is_named(here, capsys):
    assert main(["ladder", "--rungs", "rocket"]) == 2
    err = capsys.readouterr().err
    assert "there is no rung 'rocket'; there are 'tutorial', 'workers'" in err
    assert err.count("\n") == 1
