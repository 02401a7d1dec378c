"""Processes that answer a request, by one that imports nothing."""

import json
import sys

import pytest

from bench.suite import fresh
from bench.suite.fresh import EMBEDDED, Conversation, FreshError, ask, load, requested
from fcnn.data import embedded_images, load_images

ANSWERING = "tests.suite.answering"


def test_the_last_line_is_the_answer():
    assert ask(ANSWERING, {"then": "answer", "value": [1, 2.5]}) == {"got": [1, 2.5]}


@pytest.mark.parametrize(
    ("then", "message"),
    [("fail", "^ValueError: planted$"), ("mumble", "^it said nothing$"), ("nothing", "^it said nothing$")],
)
def test_a_process_that_fails_is_its_last_line(then, message):
    with pytest.raises(FreshError, match=message):
        ask(ANSWERING, {"then": then})


def test_a_conversation_goes_on_until_the_process_ends():
    with Conversation(ANSWERING) as process:
        for number in range(3):
            assert process.ask({"then": "answer", "value": number}) == {"got": number}
        with pytest.raises(FreshError, match=r"^ValueError: planted$"):
            process.ask({"then": "fail"})
        with pytest.raises(FreshError, match=r"^ValueError: planted$"):
            process.ask({"then": "answer", "value": 1})


def test_a_process_that_was_killed_says_so():
    with Conversation(ANSWERING) as process, pytest.raises(FreshError, match=r"^it was killed by signal 9$"):
        process.ask({"then": "die"})


def test_a_conversation_leaves_no_process_behind():
    with Conversation(ANSWERING) as process:
        process.ask({"then": "answer", "value": 1})
    assert process._process.poll() is not None


def test_a_child_runs_where_the_harness_is_and_has_the_variables(monkeypatch, tmp_path):
    seen = {}

    def run(words, **options):
        seen.update(options, words=words)
        return type("Ran", (), {"returncode": 0, "stdout": "3\n", "stderr": ""})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fresh.subprocess, "run", run)
    assert ask("some.module", {"a": 1}, PLANTED="yes") == 3
    assert seen["words"] == [sys.executable, "-m", "some.module"]
    assert (seen["cwd"] / "bench" / "suite" / "fresh.py").is_file()
    assert seen["env"]["PLANTED"] == "yes"
    assert json.loads(seen["input"]) == {"a": 1}


def test_a_child_loads_the_images_that_were_found(mnist_root, monkeypatch):
    found = load_images("MNIST", mnist_root)
    monkeypatch.chdir(mnist_root.parent)
    request = requested(found, "MNIST", mnist_root.relative_to(mnist_root.parent))
    assert request == {"dataset": "MNIST", "data": str(mnist_root.resolve())}
    assert load(**request).sha256 == found.sha256
    fallback = embedded_images("no network")
    assert requested(fallback, "MNIST", None)["dataset"] == EMBEDDED
    assert load(EMBEDDED, "").sha256 == fallback.sha256
