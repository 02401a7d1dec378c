"""Workers in fresh processes, by one that imports next to nothing."""

import contextlib
import os
import sys

import psutil
import pytest

from bench.workers import process as module
from bench.workers.conversation import NoAnswer, WorkerDied, WorkerError
from bench.workers.process import HARNESS, Process, ask_once, is_python, worker_words

PATIENT = 120.0


@pytest.fixture(autouse=True)
def answering(monkeypatch):
    monkeypatch.setattr(module, "WORKER", "tests.workers.answering")


@pytest.fixture
def process():
    with Process(None, {"PLANTED": "yes"}) as running:
        yield running


def test_it_answers_one_request_after_another_whatever_else_is_printed(process):
    for value in ([1, 2.5], None, "é \udcff"):
        assert process.ask("any", PATIENT, value=value) == value
    assert process.ask("any", PATIENT, then="PLANTED") == "yes"


@pytest.mark.parametrize(("then", "message"), [("fail", r"^ValueError: planted$"), ("exit", r"^SystemExit: 0$")])
def test_an_error_is_its_reason_and_the_process_goes_on(process, then, message):
    with pytest.raises(WorkerError, match=message) as error:
        process.ask("any", PATIENT, then=then)
    assert not isinstance(error.value, WorkerDied)
    assert process.ask("any", PATIENT, value=1) == 1


@pytest.mark.parametrize(
    ("then", "message"),
    [("die", r"^it was killed by SIGKILL, as for lack of memory$"), ("end", r"^ValueError: why$")],
)
def test_one_that_ends_says_why(process, then, message):
    for _ in range(2):  # it stays so
        with pytest.raises(WorkerDied, match=message):
            process.ask("any", PATIENT, then=then)


def test_one_that_does_not_answer_is_ended_and_named(process):
    process.ask("any", PATIENT)
    with pytest.raises(
        NoAnswer, match=r"^it, while it was asked to snore, gave no answer within 0 s, and its process was ended$"
    ):
        process.ask("snore", 0.01, then="sleep")
    assert process._process.wait(PATIENT) == -9


def test_it_has_a_group_of_its_own_which_the_terminals_interrupt_does_not_reach(process):
    pid, group = process.ask("any", PATIENT, then="group")
    assert pid == group == process.pid != os.getpgrp()


def test_nothing_is_left_behind():
    with Process() as process:
        process.ask("any", PATIENT)
    assert process._process.poll() is not None


def test_one_that_is_asked_nothing_more_ends_by_itself(process):
    process.ask("any", PATIENT)
    process.wait_for_end(PATIENT)
    assert process._process.returncode == 0


def test_a_worker_finds_this_harness_wherever_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ask_once("any", PATIENT, "it", then="PYTHONPATH") == f"{HARNESS}{os.pathsep}{tmp_path}"


def test_what_cannot_be_started_is_an_error():
    with pytest.raises(WorkerError, match="cannot be started"), Process(["/no/such/program"]):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no other system ends a process with the one that started it")
def test_a_worker_does_not_outlive_a_command_that_is_killed(tmp_path):
    """Even one that does not look at its input: it is asleep."""
    code = (
        "import os, sys\nfrom bench.workers import process\n"
        "process.WORKER = 'tests.workers.answering'\n"
        "with process.Process() as worker:\n"
        "    worker.ask('any', 120.0)\n"
        "    print(worker.pid, flush=True)\n"
        "    worker._conversation.begin('any', then='sleep')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with Process([sys.executable, "-c", code]) as command:
        line = command._process.stdout  # read by its conversation's thread
        assert line is not None
        command._process.wait(PATIENT)
        pid = int(command._conversation._lines.get(timeout=PATIENT))
    assert gone(pid)


def gone(pid: int) -> bool:
    """Whether a process has ended; waits for it, as long as it takes the system."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(PATIENT)
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_usual_worker_is_this_python():
    assert worker_words() == [sys.executable, "-m", "tests.workers.answering"]


@pytest.mark.skipif(os.name != "posix", reason="these programs are there on POSIX alone")
def test_an_interpreter_is_told_from_other_programs():
    assert is_python(sys.executable)
    for other in ("/bin/sh", "/bin/echo", "/bin/cat", "/nowhere/python"):
        assert not is_python(other)
