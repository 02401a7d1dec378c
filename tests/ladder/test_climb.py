"""The verb and the rounds, with processes that were made up."""

import dataclasses
import signal
from pathlib import Path

import psutil
import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.ladder import climb, kept, picture, progress, verb
from bench.measure import facts
from bench.record import files, store
from bench.workers.conversation import WorkerError
from tests.commands import ANSWERED, COMMAND, MAIN, Command
from tests.hostile import page_tags
from tests.ladder.climbing import SHORT, TO_GO_ON, ladders
from tests.signals import sent_at


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
    assert (data["disturbed"], data["interrupted"]) == (None, False)
    report = (tmp_path / "run" / "report.html").read_text()
    assert '<section id="ladder">' in report
    assert page_tags(report)
    out = capsys.readouterr().out
    assert "On the CPU: " in out
    assert "ladder: run/ladder.md" in out
    assert machine.open == []


def test_the_steps_take_turns_and_the_quick_ones_go_on(machine, tmp_path):
    machine.answers = {"tutorial": 7.0, "index_select": 2.5, "fused Adam": 0.1}
    words = ["ladder", "--run", "run", "--device", "cpu", "--steps", "index_select", "fused Adam", "--epochs", "3"]
    assert main(words) == 0
    turns = [(name, seed) for _, name, seed in machine.asked if seed is not None]
    three = ["tutorial", "index_select", "fused Adam"]
    # From cold and then timed at once; in the rounds by turns.
    assert turns[:12] == [*((name, seed) for name in three for seed in (0, 1)),
                          *((name, seed) for seed in (2, 3) for name in three)]  # fmt: skip
    # 21 s are enough of the tutorial, 7.5 s of index_select are not.
    assert turns[12:15] == [("index_select", 4), ("fused Adam", 4), ("fused Adam", 5)]
    assert turns[-1] == ("fused Adam", progress.MOST_EPOCHS)
    (data,) = ladders(tmp_path)
    assert [len(step["seconds"]) for step in data["steps"]] == [3, 4, progress.MOST_EPOCHS]
    assert [step["rounds"] for step in data["steps"]] == [[0, 1, 2], [0, 1, 2, 3], list(range(progress.MOST_EPOCHS))]


def test_the_steps_that_compile_are_started_last(machine, tmp_path):
    words = ["ladder", "--run", "run", "--device", "cpu", "--steps", "fused Adam", "compiled", "JAX"]
    assert main(words) == 0
    cold = [name for _, name, seed in machine.asked if seed == 0]
    assert cold == ["tutorial", "fused Adam", "JAX", "compiled"]
    assert [step["name"] for step in ladders(tmp_path)[0]["steps"]] == ["tutorial", "fused Adam", "compiled", "JAX"]


@pytest.mark.parametrize(("cores", "most"), [(16, 3), (2, 2), (1, 1)])
def test_as_many_processes_import_at_once_as_there_are_cores(machine, tmp_path, monkeypatch, cores, most):
    monkeypatch.setattr(climb.settings, "default_threads", lambda: cores)
    assert main(SHORT) == 0
    assert machine.imported_at_once == most  # the roofline bound's and two steps'
    assert all(step["seconds"] for step in ladders(tmp_path)[0]["steps"])


def test_what_is_compiled_from_cold_finds_nothing_that_another_has_compiled(machine, tmp_path):
    (tmp_path / "run").mkdir()
    assert main(["ladder", "--run", "run", "--device", "cpu"]) == 0
    folders = [folder for both in machine.caches for folder in both]
    assert len(machine.caches) > 2
    assert len(set(folders)) == len(folders)
    assert not any(Path(folder).parent.exists() for folder in folders)


def test_both_devices_are_climbed_where_both_are(machine, gpu, tmp_path, capsys):
    assert main(["ladder", "--run", "run", "--steps", "graph an epoch", "JAX"]) == 0
    cpu, cuda = ladders(tmp_path)
    assert [step["name"] for step in cpu["steps"]] == ["tutorial", "JAX"]
    assert [step["name"] for step in cuda["steps"]] == ["tutorial", "graph an epoch", "JAX"]
    assert {device for device, _, _ in machine.asked} == {"cpu", "cuda"}
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"ladder-cpu.svg", "ladder-cuda.svg"}
    assert "On the GPU: Some GPU with " in capsys.readouterr().out
    assert main(SHORT) == 0
    assert {path.name for path in (tmp_path / "run").glob("*.svg")} == {"ladder-cpu.svg"}  # not that of another ladder


def test_a_device_that_is_not_here_is_told_with_its_reason(machine, monkeypatch, capsys):
    away = dataclasses.replace(verb.DEVICES["cuda"], why_missing=lambda: "no CUDA GPU here")
    monkeypatch.setitem(verb.DEVICES, "cuda", away)
    assert main(["ladder", "--run", "run", "--steps", "fused Adam"]) == 0
    assert "No ladder for cuda: no CUDA GPU here" in capsys.readouterr().out
    assert main(["ladder", "--run", "run", "--device", "cuda"]) == 3
    assert capsys.readouterr().err == "fcnn-bench: nothing can be measured: no CUDA GPU here\n"


def test_a_device_that_has_no_ladder_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["ladder", "--device", "tpu"])
    assert exit.value.code == 2


@pytest.mark.parametrize("when", ["at once", 0, 3])
def test_a_step_that_fails_is_kept_with_its_reason_and_the_others_go_on(machine, tmp_path, when):
    if when == "at once":
        machine.answers["fused Adam"] = "RuntimeError: planted"
    else:
        machine.ends_at["fused Adam"] = when
    assert main(SHORT) == 0
    (data,) = ladders(tmp_path)
    reason = "RuntimeError: planted" if when == "at once" else "it was killed by SIGKILL, as for lack of memory"
    assert [(step["name"], step["reason"]) for step in data["steps"]] == [("tutorial", None), ("fused Adam", reason)]
    assert data["steps"][1]["seconds"] == []
    assert len(data["steps"][0]["seconds"]) > 5


def test_a_step_whose_process_cannot_be_started_costs_no_other(machine, tmp_path, monkeypatch):
    def start(words, environment):
        if len(machine.caches) == 2:  # the roofline bound's and the tutorial's
            raise WorkerError("python cannot be started: planted")
        return machine.process(words, environment)

    monkeypatch.setattr(climb, "Process", start)
    assert main(SHORT) == 0
    (data,) = ladders(tmp_path)
    assert [step["reason"] for step in data["steps"]] == [None, "python cannot be started: planted"]


def test_without_the_tutorial_the_command_fails_with_its_reason_and_the_others_are_written(machine, tmp_path, capsys):
    machine.answers["tutorial"] = "planted"
    assert main(SHORT) == 3
    assert capsys.readouterr().err == "fcnn-bench: cpu: the tutorial was not measured: planted\n"
    assert ladders(tmp_path)[0]["steps"][1]["seconds"]


def test_where_nothing_was_measured_the_reasons_are_written(machine, tmp_path):
    machine.answers = {"tutorial": "planted", "fused Adam": "planted"}
    assert main(SHORT) == 3
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"ladder.md", "ladder.json"}
    assert "Nothing was measured that could be compared." in (tmp_path / "run" / "ladder.md").read_text()


def test_without_a_roofline_the_ladder_has_its_reason_in_place_of_one(machine, tmp_path, capsys):
    machine.answers["roofline"] = "planted"
    assert main(["ladder", "--run", "run", "--device", "cpu"]) == 3
    out, err = capsys.readouterr()
    assert err == "fcnn-bench: cpu: the roofline bound could not be measured: planted\n"
    assert "The roofline bound is not known: planted." in out
    (data,) = ladders(tmp_path)
    assert (data["roofline_seconds"], data["roofline_reason"]) == (None, "planted")
    assert data["steps"][0]["seconds"]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"ladder.md", "ladder.json", "ladder-cpu.svg"}


def test_what_is_not_known_of_a_roofline_is_told_and_no_failure(machine, tmp_path, capsys):
    machine.unknown = "grid_barrier is not known: planted"
    assert main(SHORT) == 0
    assert "Not all of the roofline bound is known: grid_barrier is not known: planted." in capsys.readouterr().out
    assert ladders(tmp_path)[0]["roofline_seconds"] == 0.05


def test_an_unknown_step_is_named(machine, capsys):
    assert main(["ladder", "--steps", "rocket"]) == 2
    err = capsys.readouterr().err
    assert "there is no ladder step 'rocket'; there are 'tutorial', 'workers'" in err
    assert err.count("\n") == 1


def test_what_goes_on_beside_each_part_is_kept_and_is_no_failure(machine, tmp_path, capsys):
    machine.disturbances = {1: "planted load", 2: "more load", 3: "planted load"}
    assert main(SHORT) == 0
    assert ladders(tmp_path)[0]["disturbed"] == "planted load (roofline bound, rounds); more load (cold epochs)"
    out, err = capsys.readouterr()
    assert "Disturbed: planted load (roofline bound, rounds); more load (cold epochs). These" in " ".join(out.split())
    assert err == ""


def test_the_plan_and_what_is_left_are_told(machine, tmp_path, monkeypatch, capsys):
    said = []

    class Bar:
        def __init__(self, terminal, total_seconds):
            self.total = total_seconds

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def show(self, what, left, done_seconds):
            assert 0 <= done_seconds <= self.total
            said.append((what, left))

    monkeypatch.setattr(verb.console, "Bar", Bar)
    assert main(SHORT) == 0
    out = capsys.readouterr().out
    assert "  cpu   2 steps\n  expected time about " in out
    assert said[0][0] == "cpu: importing"
    assert ("cpu: fused Adam, from cold") in [what for what, _ in said]
    assert said[-1] == ("cpu: fused Adam, epoch 8", "about 1.04 s left")


def test_without_a_run_it_goes_to_a_folder_that_is_called_like_one(machine, tmp_path):
    words = ["ladder", "--device", "cpu", "--steps", "fused Adam"]
    assert main(words) == 0
    (folder,) = (tmp_path / "results" / facts.machine().slug).iterdir()
    assert (folder / "ladder.json").exists()
    (folder / store.RECORD_FILE).write_text("{}")
    (folder / "ladder.json").unlink()
    assert main(words) == 0
    assert (folder / "ladder.json").exists()


def test_a_folder_that_cannot_be_written_is_found_out_at_once(machine, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["ladder", "--run", "file/run"]) == 2
    assert "cannot be written: Not a directory; choose another --run" in capsys.readouterr().err
    assert machine.asked == []


def test_what_cannot_be_written_at_the_end_is_written_elsewhere(machine, tmp_path, monkeypatch, capsys):
    write = files.write

    def full(path, text):
        if "run" in path.parts:
            raise BenchError(f"{path} cannot be written: No space left on device")
        write(path, text)

    monkeypatch.setattr(files, "write", full)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(kept.tempfile, "tempdir", str(tmp_path / "elsewhere"))
    assert main(SHORT) == 3
    (file,) = tmp_path.glob("elsewhere/*/ladder.json")
    assert f"No space left on device; the ladder is in {file.parent}\n" in capsys.readouterr().err


def test_a_picture_that_fails_costs_that_picture_only(machine, tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("planted")

    assert main(SHORT) == 0
    capsys.readouterr()
    monkeypatch.setattr(picture, "_svg", broken)
    assert main(SHORT) == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"ladder.md", "ladder.json"}
    text = (tmp_path / "run" / "ladder.md").read_text()
    assert "There is no picture: it could not be drawn: RuntimeError: planted." in text
    err = capsys.readouterr().err
    assert err == "fcnn-bench: picture ladder-cpu: it could not be drawn: RuntimeError: planted\n"


@pytest.mark.parametrize("at", [(climb, "joined"), (verb, "picture"), (kept.later, "insert")])
def test_a_signal_after_the_last_epoch_waits_until_all_files_are_there(machine, tmp_path, monkeypatch, at):
    sent_at(monkeypatch, *at)
    assert main(SHORT) == 3
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"ladder.md", "ladder.json", "ladder-cpu.svg"}


@pytest.mark.slow
def test_signals_leave_what_was_measured_and_no_process(tmp_path):
    words = ["ladder", "--run", "run", "--device", "cpu", "--steps", "index_select", "--epochs", "1000000"]
    command = Command(COMMAND + ANSWERED + MAIN, *words, folder=tmp_path)
    command.wait_until_said("cpu: index_select, epoch 2")
    started = psutil.Process(command.pid).children(recursive=True)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        command.send(number)
    ended = command.end()
    assert (ended.code, ended.err) == (3, TO_GO_ON)
    assert "ladder: run/ladder.md" in ended.out
    (data,) = ladders(tmp_path)
    assert all(step["seconds"] for step in data["steps"])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"ladder.md", "ladder.json", "ladder-cpu.svg"}
    assert psutil.wait_procs(started, timeout=60)[1] == []
    assert command.temporary_files() == []
