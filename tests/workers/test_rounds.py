import random

import pytest

from bench.workers.conversation import WorkerError
from bench.workers.rounds import Turn, TurnFailed, shuffled, take


class Worker:
    """Remembers what happens to it, in one list for all."""

    def __init__(self, name, seen, fails=False):
        self.name, self.seen, self.fails = name, seen, fails

    def ask(self, request, limit_seconds, **arguments):
        self.seen.append((self.name, request, arguments, limit_seconds))
        if self.fails:
            raise WorkerError("why")
        return f"{self.name} {arguments['id']}"

    def stop(self):
        self.seen.append((self.name, "stop"))

    def go_on(self):
        self.seen.append((self.name, "go on"))


def test_turns_are_taken_in_their_order():
    seen = []
    worker = Worker("w", seen)
    turns = [Turn(id, worker, arguments={"id": id}, limit_seconds=5.0) for id in "ab"]
    assert take(turns) == ["w a", "w b"]
    assert seen == [("w", "turn", {"id": "a"}, 5.0), ("w", "turn", {"id": "b"}, 5.0)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_worker_that_would_spin_runs_only_when_it_is_its_turn(fails):
    seen = []
    turn = Turn("a", Worker("w", seen, fails), arguments={"id": "a"}, stops=True)
    if fails:
        with pytest.raises(TurnFailed):
            turn.take()
    else:
        turn.take()
    assert [what[1] for what in seen] == ["go on", "turn", "stop"]


def test_a_failure_says_whose_turn_it_was():
    seen = []
    good, bad = Worker("g", seen), Worker("b", seen, fails=True)
    with pytest.raises(TurnFailed, match=r"^why$") as failure:
        take([Turn("a", good, arguments={"id": "a"}), Turn("b", bad, arguments={"id": "b"}), Turn("c", good)])
    assert failure.value.key == "b"
    assert [what[0] for what in seen] == ["g", "b"]


def test_every_order_has_each_once_and_all_orders_come():
    rng = random.Random(0)
    found = {"".join(shuffled("abc", rng)) for _ in range(200)}
    assert len(found) == 6
    assert all(sorted(order) == list("abc") for order in found)


def test_what_is_of_a_kind_stays_together():
    rng = random.Random(0)
    for _ in range(50):
        order = "".join(shuffled("abcd", rng, ["x", "y", "x", "y"]))
        assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("ac"), frozenset("bd")}
