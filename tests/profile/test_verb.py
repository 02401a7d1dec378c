import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from bench.axes.devices import VISIBLE
from bench.cli import main
from bench.errors import BenchError
from bench.measure import facts
from bench.profile import flame, verb
from bench.profile.destination import destination
from bench.profile.verb import LINK
from bench.workers.conversation import WorkerError
from tests.commands import COMMAND, MAIN, Command
from tests.hostile import HOSTILE, page_tags, with_text
from tests.profile.given import FLAMES, WRITTEN, files, give
from tests.profile.made import PROFILE, changed

BUSY = "other processes kept 1.0 cores busy meanwhile (trace)"


def test_all_files_are_there(here, capsys):
    assert main(["profile", "--run", "run"]) == 0
    assert files(here / "run") == WRITTEN
    assert "profile: run/profile.html" in capsys.readouterr().out


def test_it_goes_to_the_newest_run_of_this_machine(here, monkeypatch):
    slug = facts.machine().slug
    for name in ("20260101T000000Z_a", "20260202T000000Z_b"):
        folder = here / "results" / slug / name
        folder.mkdir(parents=True)
        (folder / "record.json").write_text("{}")
    assert main(["profile"]) == 0
    assert files(folder) == {*WRITTEN, "record.json"}


def test_only_a_run_of_the_same_program_is_added_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slug = facts.machine().slug
    runs = {"20260101T000000Z_a": None, "20260202T000000Z_b": {"file": "of/it/training.py"}, "20260303T000000Z_c": None}
    for name, program in runs.items():
        folder = tmp_path / slug / name
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps({"program": program}))
    (folder / "record.json").write_text("torn")
    assert destination(None, tmp_path).name == "20260101T000000Z_a"
    assert destination(None, tmp_path, Path("of/it/training.py")).name == "20260202T000000Z_b"
    assert not destination(None, tmp_path, Path("training.py")).exists()


def test_the_images_of_a_program_are_its_own(here, capsys):
    assert main(["profile", "--program", "training.py", "--dataset", "KMNIST"]) == 2
    assert "argument --dataset: with --program, that is decided by the program itself" in capsys.readouterr().err


def test_without_a_run_it_makes_a_folder(here):
    assert main(["profile"]) == 0
    (folder,) = (here / "results").glob("*/*")
    assert files(folder) == WRITTEN


def test_the_report_gets_a_link_once(here):
    run = here / "run"
    run.mkdir()
    (run / "report.html").write_text("<footer>Made. <!-- profile --><!-- /profile --></footer>")
    for _ in range(2):
        assert main(["profile", "--run", "run"]) == 0
        assert (run / "report.html").read_text() == f"<footer>Made. <!-- profile -->{LINK}<!-- /profile --></footer>"


def test_two_profiles_are_set_against_each_other(here):
    assert main(["profile", "--against", "epoch[cpu-b64-fp32]", "--run", "run"]) == 0
    assert files(here / "run") == {*WRITTEN, "profile-b.json"}
    assert "## The difference" in (here / "run" / "profile.md").read_text()
    assert main(["profile", "--run", "run"]) == 0
    assert files(here / "run") == WRITTEN  # the other side of an earlier comparison is not left beside


def test_a_disturbance_is_kept_and_said_first_and_is_no_failure(here, monkeypatch, capsys):
    give(monkeypatch, changed(disturbed=BUSY))
    assert main(["profile", "--run", "run"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Disturbed: other processes kept 1.0 cores busy meanwhile")
    assert err == ""
    assert json.loads((here / "run" / "profile.json").read_text())["disturbed"] == BUSY
    give(monkeypatch, PROFILE, changed(disturbed=BUSY))
    assert main(["profile", "--against", "epoch[cpu-b64-fp32]", "--run", "run"]) == 0
    assert json.loads((here / "run" / "profile.json").read_text())["disturbed"] is None
    assert json.loads((here / "run" / "profile-b.json").read_text())["disturbed"] == BUSY


def test_a_picture_that_fails_costs_that_picture_only(here, monkeypatch, capsys):
    assert main(["profile", "--run", "run"]) == 0
    capsys.readouterr()

    def broken(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr(flame, "svg", broken)
    assert main(["profile", "--run", "run"]) == 0
    assert files(here / "run") == WRITTEN - FLAMES  # nor are those of the earlier profile
    assert capsys.readouterr().err.splitlines() == [
        f"fcnn-bench: picture of {name}: it could not be drawn: RuntimeError: planted"
        for name in ("python", "operators")
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_program_is_called_the_files_can_be_read(here, monkeypatch, capsys, text):
    run = here / "run"
    run.mkdir()
    (run / "report.html").write_text("<footer>Made. <!-- profile --><!-- /profile --></footer>")
    give(monkeypatch, with_text(PROFILE, text, keep=("case", "trace_file")))
    assert main(["profile", "--run", "run"]) == 0
    assert page_tags((run / "profile.html").read_text("utf-8"))
    assert page_tags((run / "report.html").read_text("utf-8")) == [("footer", []), ("a", ["href"])]
    assert json.loads((run / "profile.json").read_text("utf-8"))["steps"] == 40
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WorkerError("the process for trace failed"), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 3),
        (BenchError("there is no such thing", 2), 2),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(here, monkeypatch, capsys, error, code):
    def fails(*_):
        raise error

    monkeypatch.setattr(verb, "profile", fails)
    assert main(["profile", "--run", "run"]) == code
    err = capsys.readouterr().err
    assert (error.strerror if isinstance(error, OSError) else str(error)) in err
    assert err.count("\n") == 1
    assert not (here / "run").exists()


def test_nothing_is_left_of_a_first_profile_that_fails_in_a_repository(here, monkeypatch):
    subprocess.run(["git", "init", "-q", here], check=True)
    give(monkeypatch, WorkerError("planted"))
    assert main(["profile"]) == 3
    assert [path.name for path in here.iterdir()] == [".git"]


def test_a_folder_that_cannot_be_written_is_found_out_at_once(here, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("it was profiled all the same")

    monkeypatch.setattr(verb, "profile", never)
    (here / "file").write_text("")
    for option in ("--run", "--results"):
        assert main(["profile", option, "file/run"]) == 2
        err = capsys.readouterr().err
        assert f"cannot be written: Not a directory; choose another {option}" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["step"], 2, "'step' is no case: like step[cpu-b64-fp32]"),
        (["step[cpu-b64-fp33]"], 2, "'fp33' is no device"),
        (["step[cpu-b0]"], 2, "'b0' is no device"),
        (["step[b64-fp32]"], 2, "it names no device"),
        (["step[cpu-b64-tf32]"], 2, "TF32 is a format of NVIDIA's tensor cores"),
        (["step[cpu-b64-b128-fp32]"], 2, "it names its batch size twice"),
        (["step[cpu-b64-fp32-loader]"], 2, "the loader belongs to whole epochs"),
        (["--against", "step[cpu-b0]"], 2, "'b0' is no device"),
        (["--against", "no-such-ref"], 4, "not a git repository"),
        (["accuracy[cpu-b64-fp32]"], 2, "profile an epoch, such as epoch[cpu-b64-fp32]"),
        (["--at", "no-such-ref"], 4, "not a git repository"),
        (["step[cuda:x-b64-fp32]"], 2, "'cuda:x' is no device"),
        (
            ["step[cuda-b64-fp32]", "--against", "step[cuda:1-b64-fp32]"],
            2,
            "a run is on one GPU, not on cuda and cuda:1",
        ),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(here, capsys, words, code, message):
    assert main(["profile", *words]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_device_that_is_not_here_is_the_machines_fault_and_not_the_commands(here, monkeypatch, capsys):
    monkeypatch.setattr(verb, "why_unusable", lambda device: "no CUDA GPU here")
    assert main(["profile", "step[cuda-b64-fp32]"]) == 3
    assert capsys.readouterr().err == "fcnn-bench: nothing to profile: no CUDA GPU here\n"


def test_a_gpu_by_its_number_is_the_only_one_that_the_profile_sees(monkeypatch):
    monkeypatch.setenv(VISIBLE, "4,7")
    cases = verb._cases(["step[cuda:1-b64-fp32]", "step[cpu-b64-fp32]"])
    assert [case.device for case in cases] == ["cuda", "cpu"]
    assert os.environ[VISIBLE] == "7"


GIVEN = """
from tests.profile.made import PROFILE
def given(case, source, images, traces, steps, say):
    (traces / PROFILE.trace_file).write_bytes(b"trace")
    return PROFILE
profile.profile = given
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_output_that_takes_nothing_costs_neither_files_nor_the_exit_code(tmp_path):
    words = ["profile", "--run", "run"]
    ended = Command(COMMAND + GIVEN + MAIN, *words, folder=tmp_path, out="/dev/full").end()
    assert (ended.code, ended.err) == (0, "")
    assert files(tmp_path / "run") == WRITTEN
