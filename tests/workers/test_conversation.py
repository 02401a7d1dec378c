import io
import json
import os

import pytest

from bench.workers.conversation import Conversation, NoAnswer, WorkerDied, WorkerError, parsed
from bench.workers.requests import DOING, REQUESTS
from bench.workers.serve import State, function, serve


def told(*lines: str, killed=None):
    """A conversation with what has said these lines and ended; and what was asked."""
    asked = io.StringIO()
    source = io.StringIO("".join(f"{line}\n" for line in lines))
    return Conversation(source, asked, "the worker", killed or (lambda: None), lambda: "it ended"), asked


def test_a_request_is_its_name_and_its_arguments():
    conversation, asked = told('{"value": 3}')
    assert conversation.ask("turn", id="x", repetitions=2) == 3
    assert json.loads(asked.getvalue()) == ["turn", {"id": "x", "repetitions": 2}]


def test_what_is_no_answer_is_passed_over():
    conversation, _ = told("a warning", '{"got": 1}', '{"value": null}')
    assert conversation.ask("any") is None


def test_an_error_is_raised_and_an_end_is_for_ever():
    conversation, _ = told('{"error": "why"}')
    with pytest.raises(WorkerError, match=r"^why$"):
        conversation.ask("any")
    for _ in range(2):
        with pytest.raises(WorkerDied, match=r"^it ended$"):
            conversation.ask("any")


def test_who_does_not_answer_is_killed():
    killed = []
    reading, writing = os.pipe()
    with os.fdopen(reading) as source:
        conversation = Conversation(source, io.StringIO(), "the candidate", lambda: killed.append(True), lambda: "")
        with pytest.raises(NoAnswer, match=r"^the candidate, while it was timed, gave no answer within 0 s"):
            conversation.ask("turn", 0.01)
        os.close(writing)
    assert killed == [True]


def test_what_ends_a_program_of_the_users_own_has_its_file_and_what_was_done_to_it():
    conversation, _ = told('{"value": null}', *4 * ['{"value": 1}'])
    conversation.ask("own", tree="/of", file="it/training.py", folder="/here")
    assert (conversation.who, conversation.doing) == ("the worker", "it was asked to own")
    for name, doing in (("own_facts", "it was made and warmed up"), ("turn", "it was timed")):
        conversation.ask(name)
        assert (conversation.who, conversation.doing) == ("it/training.py: its process", doing)
    conversation.ask("devices")  # which the program has no part in
    assert conversation.who == "the worker"
    assert set(DOING) <= set(REQUESTS)


def test_only_answers_are_answers():
    assert parsed('{"value": null}') == {"value": None}
    assert parsed('{"error": "x"}') == {"error": "x"}
    for line in ("", "3", "[1]", '{"got": 1}', "no JSON"):
        assert parsed(line) is None


def answers(*requests):
    out = io.StringIO()
    serve(State(), io.StringIO("".join(f"{json.dumps(request)}\n" for request in requests)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_worker_answers_every_request_with_a_value_or_a_reason():
    unknown, broken = answers(["nonsense", {}], ["turn", {"id": "x", "repetitions": 1}])
    assert unknown == {"error": "KeyError: 'nonsense'"}
    assert broken == {"error": "KeyError: 'x'"}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_row_of_the_table_has_its_function(name):
    assert callable(function(name))
