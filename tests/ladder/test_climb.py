"""The verb and the rounds, with processes that were made up."""

import dataclasses
import json
from pathlib import Path

import pytest

from bench.cli import main
from bench.gate.accuracy import Reference
from bench.ladder import climb, verb
from bench.suite.fresh import FreshError
from fcnn.data import embedded_images


class Machine:
    """Where every process is this one.

    Attributes:
        answers: By name, seconds of an epoch or the words with which the process ends.
        asked: (name, seed) in order; the first request of a process has no seed.
        ends_at: A process ends when it is asked for this seed.
        caches: The compilers' folders of every process.
    """

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.ends_at = {}
        self.open = []
        self.caches = []

    def ask(self, module, request, **environment):
        assert (module, request["name"]) == ("bench.ladder.child", "floor")
        self.asked.append((request["device"], "floor", None))
        return self._answer("floor", {"seconds": 0.05})

    def _answer(self, name, answer):
        found = self.answers.get(name)
        if isinstance(found, str):
            raise FreshError(found)
        return answer

    def conversation(machine, module, **environment):
        assert module == "bench.ladder.child"
        machine.caches.append((environment["TORCHINDUCTOR_CACHE_DIR"], environment["TRITON_CACHE_DIR"]))

        class Process:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                machine.open.remove(self.name)

            def ask(self, request):
                if "name" in request:
                    self.device, self.name = request["device"], request["name"]
                    machine.open.append(self.name)
                    machine.asked.append((self.device, self.name, None))
                    return machine._answer(self.name, {"ready": self.name})
                machine.asked.append((self.device, self.name, request["seed"]))
                if machine.ends_at.get(self.name) == request["seed"]:
                    raise FreshError("it was killed by signal 9")
                seconds = machine.answers.get(self.name, 1.0) * (1 + 0.01 * request["seed"])
                return {"seconds": seconds, "with_all_seconds": seconds + 1, "test_accuracy_fraction": 0.931}

        return Process()


@pytest.fixture
def machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    images = embedded_images("asked for")
    monkeypatch.setattr(verb, "load_images", lambda name, data: images)
    known = Reference(images.name, images.sha256, 1, list(range(100)), [0.93, 0.932] * 50, {})
    monkeypatch.setattr(climb.accuracy, "read_reference", lambda *_: known)
    machine = Machine()
    monkeypatch.setattr(climb, "ask", machine.ask)
    monkeypatch.setattr(climb, "Conversation", machine.conversation)
    return machine


@pytest.fixture
def gpu(monkeypatch):
    """Stands for a GPU that has all that its rungs need."""
    model = dataclasses.replace(verb.DEVICES["cuda"], why_missing=lambda: None, model=lambda: "Some GPU")
    monkeypatch.setitem(verb.DEVICES, "cuda", model)
    climbable = [dataclasses.replace(rung, why_not=lambda: None) for rung in verb.RUNGS["cuda"]]
    monkeypatch.setitem(verb.RUNGS, "cuda", climbable)


def ladders(folder):
    return json.loads((folder / "run" / "ladder.json").read_text())["ladders"]


def test_the_verb_writes_the_ladder(machine, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").write_text("<main><!-- ladder --><!-- /ladder --></main>")
    assert main(["ladder", "--run", "run", "--device", "cpu"]) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"ladder.md", "ladder.json", "ladder-cpu.svg", "report.html"}
    (data,) = ladders(tmp_path)
    assert [step["name"] for step in data["steps"]][:2] == ["tutorial", "workers"]
    assert data["steps"][0]["accuracy_p"] > 0.001
    assert data["steps"][0]["cold_seconds"] == 2.0
    assert '<section id="ladder">' in (tmp_path / "run" / "report.html").read_text()
    out = capsys.readouterr().out
    assert "On the CPU: " in out
    assert "ladder: run/ladder.md" in out
    assert machine.open == []


def test_the_rungs_take_turns_and_the_quick_ones_go_on(machine, tmp_path):
    machine.answers = {"tutorial": 7.0, "index_select": 4.0, "fused Adam": 0.5}
    words = ["ladder", "--run", "run", "--device", "cpu", "--rungs", "index_select", "fused Adam", "--epochs", "3"]
    assert main(words) == 0
    turns = [(name, seed) for _, name, seed in machine.asked if seed is not None]
    three = ["tutorial", "index_select", "fused Adam"]
    assert turns[:12] == [(name, seed) for seed in range(4) for name in three]
    # 21 s are enough of the tutorial, 12 s of index_select are not.
    assert turns[12:15] == [("index_select", 4), ("fused Adam", 4), ("fused Adam", 5)]
    assert turns[-1] == ("fused Adam", climb.MOST_EPOCHS)
    (data,) = ladders(tmp_path)
    assert [len(step["seconds"]) for step in data["steps"]] == [3, 4, climb.MOST_EPOCHS]


def test_what_is_compiled_from_cold_finds_nothing_that_another_has_compiled(machine, tmp_path):
    (tmp_path / "run").mkdir()
    assert main(["ladder", "--run", "run", "--device", "cpu"]) == 0
    folders = [folder for both in machine.caches for folder in both]
    assert len(machine.caches) > 2
    assert len(set(folders)) == len(folders)
    assert not any(Path(folder).parent.exists() for folder in folders)


def test_both_devices_are_climbed_where_both_are(machine, gpu, tmp_path, capsys):
    assert main(["ladder", "--run", "run", "--rungs", "graph an epoch", "JAX"]) == 0
    cpu, cuda = ladders(tmp_path)
    assert [step["name"] for step in cpu["steps"]] == ["tutorial", "JAX"]
    assert [step["name"] for step in cuda["steps"]] == ["tutorial", "graph an epoch", "JAX"]
    assert {device for device, _, _ in machine.asked} == {"cpu", "cuda"}
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"ladder-cpu.svg", "ladder-cuda.svg"}
    assert "On the GPU: Some GPU with " in capsys.readouterr().out


def test_a_device_that_is_not_here_is_told_with_its_reason(machine, monkeypatch, capsys):
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


@pytest.mark.parametrize("when", ["at once", 0, 3])
def test_a_rung_that_fails_is_kept_with_its_reason_and_the_others_go_on(machine, tmp_path, when):
    if when == "at once":
        machine.answers["fused Adam"] = "RuntimeError: planted"
    else:
        machine.ends_at["fused Adam"] = when
    assert main(["ladder", "--run", "run", "--device", "cpu", "--rungs", "fused Adam"]) == 0
    (data,) = ladders(tmp_path)
    reason = "RuntimeError: planted" if when == "at once" else "it was killed by signal 9"
    assert [(step["name"], step["reason"]) for step in data["steps"]] == [("tutorial", None), ("fused Adam", reason)]
    assert data["steps"][1]["seconds"] == []
    assert len(data["steps"][0]["seconds"]) > 5


def test_without_the_tutorial_nothing_was_measured(machine):
    machine.answers["tutorial"] = "planted"
    assert main(["ladder", "--run", "run", "--device", "cpu", "--rungs", "fused Adam"]) == 3


def test_without_a_floor_nothing_is_written(machine, tmp_path, capsys):
    machine.answers["floor"] = "planted"
    assert main(["ladder", "--run", "run", "--device", "cpu"]) == 3
    assert "the floor could not be measured: planted" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unknown_rung_is_named(machine, capsys):
    assert main(["ladder", "--rungs", "rocket"]) == 2
    err = capsys.readouterr().err
    assert "there is no rung 'rocket'; there are 'tutorial', 'workers'" in err
    assert err.count("\n") == 1
