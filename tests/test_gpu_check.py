"""tests/gpu/check, with a stand-in for Python: what is run with which limits, what is gone on with, what is said."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "gpu" / "check"
FILES = tuple(sorted(path.stem for path in SCRIPT.parent.glob("test_*.py")))
STEPS = (*FILES, "report", "modes", "ladder", "profile", "starts")
# Notes its words; what it says and its exit code are those of the file that is named like the step.
PYTHON = r"""#!/usr/bin/env bash
here=$(dirname "$0")
[ "$1" != -c ] || { cat "$here/missing" 2> /dev/null && exit 1; exit 0; }
case "$*" in
*"-m pytest"*) step=$(basename "$3" .py) ;;
*"--workload accuracy"*) step=starts ;;
*"bench run"*) step=modes ;;
*"bench ladder"*) step=ladder ;;
*"bench profile"*) step=profile ;;
*) step=report ;;
esac
case "$*" in *--resume*/report/*) step=report ;; *--resume*/starts/*) step=starts ;; esac
case "$*" in *--resume*) again=-again ;; esac
echo "$step${again-}" >> "$here/asked"
echo "$@" >> "$here/words"
[ ! -e "$here/$step${again-}" ] || . "$here/$step${again-}"
"""
# Notes the limit and does as it is told.
TIMEOUT = f"""#!/usr/bin/env bash
echo "$4" >> "$(dirname "$0")/limits"
exec {shutil.which("timeout")} "$@"
"""
# Notes its words; where a loop is asked for, it has a header or a row of one GPU.
NVIDIA_SMI = r"""#!/bin/sh
case "$*" in
*noheader*-lms*) echo "now, 0" ;;
*-lms*) echo "timestamp, index" ;;
esac
echo "$*" >> "$(dirname "$0")/clocks"
"""
pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("timeout")), reason="a script for bash and coreutils"
)


class Machine:
    """A folder with blanks in which everything is, and what the stand-ins were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "what is found"
        for name, text in (("python", PYTHON), ("timeout", TIMEOUT), ("nvidia-smi", NVIDIA_SMI)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def does(self, **steps: str) -> None:
        for name, lines in steps.items():
            (self.folder / name.replace("_again", "-again")).write_text(lines)

    def check(self, **variables: str) -> tuple[int, list[str], str]:
        for name in ("asked", "limits"):
            (self.folder / name).write_text("")
        ended = subprocess.run(
            [SCRIPT, self.results],
            cwd=self.folder,
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, (self.folder / "asked").read_text().split(), ended.stdout + ended.stderr

    def limits(self) -> dict[str, int]:
        """Seconds that each step had in the last call."""
        asked, limits = ((self.folder / name).read_text().split() for name in ("asked", "limits"))
        return dict(zip(asked, map(int, limits), strict=True))


@pytest.fixture
def machine(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    return Machine(folder)


def test_all_is_run_in_its_order_and_a_second_call_has_nothing_to_do(machine):
    machine.does(test_nvml="echo '= 78 passed in 200 s ='", ladder="echo 'The best step, one kernel, takes 5 ms'")
    code, asked, said = machine.check()
    assert (code, asked) == (0, [*STEPS])
    assert [line.split()[:2] for line in said.splitlines()] == [[step, "right"] for step in STEPS]
    assert "78 passed in 200 s" in said
    assert "The best step, one kernel, takes 5 ms" in said
    assert f"--results {machine.results}/report\n" in (machine.folder / "words").read_text()
    code, asked, said = machine.check()
    assert (code, asked, said.count("done before")) == (0, [], len(STEPS))


def test_what_was_wrong_is_said_at_the_end_and_run_again(machine):
    machine.does(test_nvml="echo 'FAILED tests/gpu/test_nvml.py::test_clocks - assert 1'\necho '1 failed'\nexit 1",
                 profile="echo 'fcnn-bench: the trace is empty'\nexit 3")  # fmt: skip
    code, asked, said = machine.check()
    assert (code, asked) == (1, [*STEPS])
    assert "test_nvml         WRONG     exit code 1" in said
    assert "test_nvml: FAILED tests/gpu/test_nvml.py::test_clocks - assert 1\n" in said
    assert "profile: fcnn-bench: the trace is empty\n" in said
    assert machine.check()[1] == ["test_nvml", "profile"]


def test_tests_that_were_skipped_are_said_in_every_call(machine):
    reason = "SKIPPED [1] tests/gpu/test_nvml.py:9: no NVML here"
    machine.does(test_nvml=f"echo '{reason}'\necho '2 passed, 1 skipped'")
    for _ in range(2):
        code, _, said = machine.check()
        assert (code, said.splitlines()[-1]) == (0, reason)
    assert " -rfEs " in (machine.folder / "words").read_text()


def test_what_cannot_go_on_has_more_time_in_the_next_call_as_the_others_are_done(machine):
    machine.does(test_limits="exit 124", profile="exit 124")  # as `timeout` answers
    assert machine.check(SECONDS="300")[0] == 1  # as if the others had taken so long
    first = machine.limits()
    code, asked, _ = machine.check()
    second = machine.limits()
    assert (code, asked) == (1, ["test_limits", "profile"])
    assert first["profile"] <= 280
    assert second["profile"] >= 480 > first["profile"]


def test_the_files_of_tests_share_their_time(machine):
    machine.does(test_calibration="sleep 1")
    machine.check()
    limits = machine.limits()
    assert limits["test_calibration"] in (239, 240)
    assert limits[FILES[-1]] < limits["test_calibration"]


def test_a_file_of_tests_that_takes_longer_has_a_whole_call_once_the_rest_is_done(machine):
    machine.does(test_limits="exit 124")
    machine.check()
    assert machine.limits()["test_limits"] <= 240
    assert machine.check()[1] == ["test_limits"]
    assert machine.limits()["test_limits"] > 500


def test_the_ladder_has_a_turn_though_the_steps_before_it_have_used_their_time(machine):
    machine.does(ladder="exit 124", profile="exit 124")
    machine.check(SECONDS=str(240 + 155 + 125))
    assert 20 < machine.limits()["ladder"] <= 30
    assert 40 < machine.limits()["profile"] <= 60
    machine.does(profile="")
    machine.check()
    assert 400 < machine.limits()["ladder"] <= 485
    machine.check()
    assert 500 < machine.limits()["ladder"] <= 580  # there is nothing to leave time for


def test_the_rows_of_clocks_name_their_gpu_below_one_header(machine):
    machine.check()
    machine.check()
    assert (machine.results / "clocks.csv").read_text() == "timestamp, index\nnow, 0\n"
    assert all(",index," in line for line in (machine.folder / "clocks").read_text().splitlines() if "-lms" in line)


def test_what_ran_out_of_time_is_gone_on_with_or_begun_anew_where_that_cannot_be(machine):
    over = 'mkdir -p "${!#}/machine/run"\nexit 124'  # as `timeout` answers
    machine.does(report=over, ladder=over, ladder_again="exit 2")
    code, _, said = machine.check()
    assert code == 1
    assert "report            not done  its time was over" in said
    machine.does(ladder="")
    code, asked, _ = machine.check()
    assert (code, asked) == (0, ["report-again", "ladder-again", "ladder"])
    assert f"run --resume {machine.results}/report/machine/run/\n" in (machine.folder / "words").read_text()


def test_an_interrupt_ends_it_after_the_command_that_it_has_interrupted(machine):
    machine.does(report="kill -INT $(ps -o ppid= -p $PPID)\nexit 3")
    code, asked, said = machine.check()
    assert (code, asked) == (1, [*FILES, "report"])
    assert "report            not done  interrupted" in said
    assert "modes             not done\n" in said
    machine.does(report="")
    assert machine.check()[:2] == (0, ["report", "modes", "ladder", "profile", "starts"])


def test_without_a_gpu_it_does_not_begin(machine):
    machine.does(missing="no CUDA GPU here")
    code, asked, said = machine.check()
    assert (code, asked) == (2, [])
    assert said.endswith(": no CUDA GPU here\n")


def test_a_time_in_the_environment_is_what_bash_begins_with():
    """The tests above rest on it."""
    said = subprocess.run(["bash", "-c", "echo $SECONDS"], env={**os.environ, "SECONDS": "300"}, capture_output=True)
    assert said.stdout in (b"300\n", b"301\n")
