"""What an ended ladder leaves, and how it is gone on with."""

import os

import pytest

from bench.axes.devices import VISIBLE
from bench.cli import main
from bench.ladder import climb, verb
from tests.ladder.climbing import SHORT, TO_GO_ON, ladders


@pytest.mark.parametrize(
    ("at", "epochs", "reasons"),
    [
        (("tutorial", 2), [1, 1], [None, None]),
        (("fused Adam", 2), [2, 1], [None, None]),
        (("fused Adam", 1), [1, 0], [None, "interrupted"]),
        (("fused Adam", 0), [1, 0], [None, "interrupted"]),
        (("tutorial", 1), [0, 0], ["interrupted", "interrupted"]),
    ],
)
def test_an_interruption_leaves_what_was_measured(machine, tmp_path, capsys, at, epochs, reasons):
    machine.interrupted_at = at
    assert main(SHORT) == 3
    (data,) = ladders(tmp_path)
    assert data["interrupted"]
    assert [len(step["seconds"]) for step in data["steps"]] == epochs
    assert [step["reason"] for step in data["steps"]] == reasons
    assert data["steps"][0]["cold_seconds"] == 2.0
    out, err = capsys.readouterr()
    assert err == TO_GO_ON
    assert "Interrupted: these numbers are what was measured by then" in " ".join(out.split())
    assert machine.open == []


def test_what_is_timed_before_the_first_round_can_be_compared(machine, tmp_path, capsys):
    """As a ladder on a GPU that was ended while its last process compiled."""
    machine.answers = {"tutorial": 4.0, "fused Adam": 0.5}
    machine.interrupted_at = ("compiled", 0)
    assert main(["ladder", "--run", "run", "--device", "cpu", "--steps", "fused Adam", "compiled"]) == 3
    assert "8.0× as fast as the tutorial" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["roofline", "tutorial"])
def test_an_interruption_before_anything_was_measured_leaves_nothing(machine, tmp_path, capsys, name):
    machine.interrupted_at = (name, None)
    assert main(SHORT) == 3
    assert capsys.readouterr().err == "fcnn-bench: interrupted\n"
    assert not (tmp_path / "run").exists()


def test_an_interruption_keeps_the_device_before(machine, gpu, tmp_path, capsys):
    machine.interrupted_on = "cuda"
    assert main(["ladder", "--run", "run", "--steps", "JAX"]) == 3
    assert [(data["device"], data["interrupted"]) for data in ladders(tmp_path)] == [("cpu", False)]
    assert capsys.readouterr().err == TO_GO_ON
    machine.interrupted_on, before = None, len(machine.asked)
    assert main(["ladder", "--resume", "run"]) == 0
    assert [(data["device"], data["interrupted"]) for data in ladders(tmp_path)] == [("cpu", False), ("cuda", False)]
    assert {device for device, _, _ in machine.asked[before:]} == {"cuda"}


def test_a_ladder_goes_on_with_the_gpu_that_it_was_begun_on(machine, gpu, monkeypatch):
    monkeypatch.setenv(VISIBLE, "4,7")
    machine.interrupted_at = ("JAX", 0)
    assert main(["ladder", "--run", "run", "--device", "cuda:1", "--steps", "JAX"]) == 3
    assert os.environ[VISIBLE] == "7"
    monkeypatch.setenv(VISIBLE, "4,7")
    machine.interrupted_at = None
    assert main(["ladder", "--resume", "run"]) == 0
    assert os.environ[VISIBLE] == "7"


def test_every_step_and_every_round_is_written_at_once(machine, tmp_path, monkeypatch):
    seen = []
    replaced = climb._Climb._epoch

    def epoch(self, name, process):
        if (tmp_path / "run" / "ladder.json").exists():
            seen.append([len(step["seconds"]) for step in ladders(tmp_path)[0]["steps"]])
            assert ladders(tmp_path)[0]["interrupted"]
            assert (tmp_path / "run" / "ladder.md").exists()
        return replaced(self, name, process)

    monkeypatch.setattr(climb._Climb, "_epoch", epoch)
    machine.answers = {"tutorial": 9.0, "fused Adam": 9.0}
    assert main(SHORT) == 0
    assert seen == [[1, 0], [1, 0], [1, 1], [1, 1], [2, 2], [2, 2]]
    assert not ladders(tmp_path)[0]["interrupted"]


def test_a_ladder_goes_on_where_it_was_ended(machine, tmp_path, capsys):
    machine.answers = {"tutorial": 9.0, "index_select": 9.0, "compiled": "planted"}
    machine.interrupted_at = ("fused Adam", 1)
    words = ["ladder", "--run", "run", "--device", "cpu", "--epochs", "3"]
    assert main([*words, "--steps", "index_select", "fused Adam", "compiled"]) == 3
    (before,) = ladders(tmp_path)
    machine.interrupted_at, machine.asked = None, []
    assert main(["ladder", "--resume", "run"]) == 0
    (after,) = ladders(tmp_path)
    assert not after["interrupted"]
    tutorial, index_select, fused, compiled = after["steps"]
    assert "roofline" not in {name for _, name, _ in machine.asked}
    # No seed twice, whose accuracy would be the same.
    seeds = {name: [seed for _, other, seed in machine.asked if other == name and seed is not None]
             for name in ("tutorial", "index_select", "fused Adam")}  # fmt: skip
    assert seeds["tutorial"][:2] == seeds["index_select"][:2] == [2, 3]
    assert tutorial["cold_seconds"] == before["steps"][0]["cold_seconds"]
    assert index_select["seconds"][0] == before["steps"][1]["seconds"][0]
    assert fused["cold_seconds"] == 2.0
    assert (len(index_select["seconds"]), len(fused["seconds"])) == (3, 8)
    assert compiled["reason"] == "planted"
    assert "fcnn-bench ladder --resume" not in capsys.readouterr().err.split("\n", 1)[1]


def test_a_step_that_was_done_is_not_climbed_again_but_the_first_is_beside_the_others(machine, tmp_path):
    machine.answers = {"tutorial": 9.0, "index_select": 9.0, "fused Adam": 1.0}
    machine.interrupted_at = ("fused Adam", 6)
    words = ["ladder", "--run", "run", "--device", "cpu", "--epochs", "3", "--steps", "index_select", "fused Adam"]
    assert main(words) == 3
    machine.interrupted_at, machine.asked = None, []
    assert main(["ladder", "--resume", "run"]) == 0
    assert {name for _, name, _ in machine.asked} == {"tutorial", "fused Adam"}
    tutorial, _, fused = ladders(tmp_path)[0]["steps"]
    assert set(fused["rounds"][-2:]) <= set(tutorial["rounds"])  # what they are told by


def test_a_ladder_that_has_ended_or_is_of_another_program_does_not_go_on(machine, tmp_path, monkeypatch, capsys):
    assert main(SHORT) == 0
    capsys.readouterr()
    assert main(["ladder", "--resume", "run"]) == 2
    assert capsys.readouterr().err == "fcnn-bench: run: this ladder has come to its end: see run/ladder.md\n"
    machine.interrupted_at = ("fused Adam", 2)
    assert main(SHORT) == 3
    capsys.readouterr()
    monkeypatch.setattr(verb, "identity", lambda: {"commit": None, "program": "another"})
    assert main(["ladder", "--resume", "run"]) == 2
    assert capsys.readouterr().err.startswith("fcnn-bench: run: the ladder cannot go on: its ")
    assert main(["ladder", "--resume", "nowhere"]) == 3
    assert capsys.readouterr().err == "fcnn-bench: nowhere/ladder.json: there is no such file\n"
    (tmp_path / "run" / "ladder.json").write_text('{"ladders": []}')
    assert main(["ladder", "--resume", "run"]) == 2
    assert "run/ladder.json: is no ladder that this program can go on with: 'asked'" in capsys.readouterr().err
