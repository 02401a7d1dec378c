"""tests/gpu/check, with a stand-in for Python: what is run with which limits, what is gone on with, what is said."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "gpu" / "check"
STEPS = ("tests", "report", "modes", "ladder", "profile")
# Notes its words; what it says and its exit code are those of the file that is named like the step.
PYTHON = r"""#!/usr/bin/env bash
here=$(dirname "$0")
[ "$1" != -c ] || { cat "$here/missing" 2> /dev/null && exit 1; exit 0; }
case "$*" in
*"-m pytest"*) step=tests ;;
*"bench run"*) step=modes ;;
*"bench ladder"*) step=ladder ;;
*"bench profile"*) step=profile ;;
*) step=report ;;
esac
case "$*" in *--resume*/report/*) step=report ;; esac
case "$*" in *--resume*) again=-again ;; esac
echo "$step${again-}" >> "$here/asked"
echo "$@" >> "$here/words"
[ ! -e "$here/$step${again-}" ] || . "$here/$step${again-}"
"""
pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("timeout")), reason="a script for bash and coreutils"
)


class Machine:
    """A folder with blanks in which everything is, and what the stand-ins were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "what is found"
        for name, text in (("python", PYTHON), ("nvidia-smi", "#!/bin/sh\n")):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def does(self, **steps: str) -> None:
        for name, lines in steps.items():
            (self.folder / name.replace("_", "-")).write_text(lines)

    def check(self, **variables: str) -> tuple[int, list[str], str]:
        (self.folder / "asked").write_text("")
        ended = subprocess.run(
            [SCRIPT, self.results],
            cwd=self.folder,
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, (self.folder / "asked").read_text().split(), ended.stdout + ended.stderr


@pytest.fixture
def machine(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    return Machine(folder)


def test_all_is_run_in_its_order_and_a_second_call_has_nothing_to_do(machine):
    machine.does(tests="echo '= 78 passed in 200 s ='", ladder="echo 'The best step, one kernel, takes 5 ms'")
    code, asked, said = machine.check()
    assert (code, asked) == (0, [*STEPS])
    assert [line.split()[:2] for line in said.splitlines()] == [[step, "right"] for step in STEPS]
    assert "78 passed in 200 s" in said
    assert "The best step, one kernel, takes 5 ms" in said
    assert f"--results {machine.results}/report\n" in (machine.folder / "words").read_text()
    code, asked, said = machine.check()
    assert (code, asked, said.count("done before")) == (0, [], len(STEPS))


def test_what_was_wrong_is_said_at_the_end_and_run_again(machine):
    machine.does(tests="echo 'FAILED tests/gpu/test_nvml.py::test_clocks - assert 1'\necho '1 failed'\nexit 1",
                 profile="echo 'fcnn-bench: the trace is empty'\nexit 3")  # fmt: skip
    code, asked, said = machine.check()
    assert (code, asked) == (1, [*STEPS])
    assert "tests    WRONG     exit code 1" in said
    assert "tests: FAILED tests/gpu/test_nvml.py::test_clocks - assert 1\n" in said
    assert "profile: fcnn-bench: the trace is empty\n" in said
    assert machine.check()[1] == ["tests", "profile"]


def test_what_ran_out_of_time_is_gone_on_with_or_begun_anew_where_that_cannot_be(machine):
    over = 'mkdir -p "${!#}/machine/run"\nexit 124'  # as `timeout` answers
    machine.does(report=over, ladder=over, ladder_again="exit 2")
    code, _, said = machine.check()
    assert code == 1
    assert "report   not done  its time was over" in said
    machine.does(ladder="")
    code, asked, _ = machine.check()
    assert (code, asked) == (0, ["report-again", "ladder-again", "ladder"])
    assert f"run --resume {machine.results}/report/machine/run/\n" in (machine.folder / "words").read_text()


def test_an_interrupt_ends_it_after_the_command_that_it_has_interrupted(machine):
    machine.does(report="kill -INT $(ps -o ppid= -p $PPID)\nexit 3")
    code, asked, said = machine.check()
    assert (code, asked) == (1, ["tests", "report"])
    assert "report   not done  interrupted" in said
    assert "modes    not done\n" in said
    machine.does(report="")
    assert machine.check()[:2] == (0, ["report", "modes", "ladder", "profile"])


def test_without_a_gpu_it_does_not_begin(machine):
    machine.does(missing="no CUDA GPU here")
    code, asked, said = machine.check()
    assert (code, asked) == (2, [])
    assert said.endswith(": no CUDA GPU here\n")
