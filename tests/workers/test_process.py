"""Processes that are asked, by one that imports next to nothing."""

import os

import pytest

from bench.workers.process import HARNESS, Process, WorkerError, ask_module, module_words, parsed

ANSWERING = "tests.workers.answering"
PATIENT = 120.0


@pytest.fixture
def process():
    with Process(module_words(ANSWERING), {"PLANTED": "yes"}) as running:
        yield running


def test_it_answers_one_request_after_another_whatever_else_is_printed(process):
    for value in ([1, 2.5], None, "é \udcff"):
        assert process.ask({"then": "answer", "value": value}, PATIENT, "it") == value
    assert process.ask({"then": "PLANTED"}, PATIENT, "it") == "yes"


def test_an_error_is_its_reason_and_the_process_goes_on(process):
    with pytest.raises(WorkerError, match=r"^ValueError: planted$"):
        process.ask({"then": "fail"}, PATIENT, "it")
    assert process.ask({"then": "answer", "value": 1}, PATIENT, "it") == 1


@pytest.mark.parametrize(
    ("then", "message"),
    [("die", r"^it was killed by SIGKILL, as for lack of memory$"), ("end", r"^ValueError: why$")],
)
def test_one_that_ends_says_why(process, then, message):
    for _ in range(2):  # it stays so
        with pytest.raises(WorkerError, match=message):
            process.ask({"then": then}, PATIENT, "it")
        process._lines.put(None)


def test_one_that_does_not_answer_is_ended_and_named(process):
    process.ask({"then": "answer", "value": 1}, PATIENT, "it")
    with pytest.raises(WorkerError, match=r"^a long sleep gave no answer within 0 s, and its process was ended$"):
        process.ask({"then": "sleep"}, 0.01, "a long sleep")
    assert process._process.wait(PATIENT) == -9


def test_it_has_a_group_of_its_own_which_the_terminals_interrupt_does_not_reach(process):
    pid, group = process.ask({"then": "group"}, PATIENT, "it")
    assert pid == group != os.getpgrp()


def test_nothing_is_left_behind():
    with Process(module_words(ANSWERING)) as process:
        process.ask({"then": "answer", "value": 1}, PATIENT, "it")
    assert process._process.poll() is not None


def test_a_child_finds_this_harness_wherever_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ask_module(ANSWERING, {"then": "PYTHONPATH"}, PATIENT, "it") == f"{HARNESS}{os.pathsep}{tmp_path}"


def test_what_cannot_be_started_is_an_error():
    with pytest.raises(WorkerError, match="cannot be started"), Process(["/no/such/program"]):
        pass


def test_only_answers_are_answers():
    assert parsed('{"value": null}') == {"value": None}
    assert parsed('{"error": "x"}') == {"error": "x"}
    for line in ("", "3", "[1]", '{"got": 1}', "no JSON"):
        assert parsed(line) is None
