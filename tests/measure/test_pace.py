import pytest
import torch

from bench.measure import pace
from bench.workers.turns import pace as asked
from tests.measure.simulated import SimulatedTime


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_fastest_of_a_few_counts(two_threads, monkeypatch):
    time = SimulatedTime()
    repeat = time.repeat_taking(iter([1e-4, 4e-4, 3e-4, 5e-4, 9e-4]))  # the first is not timed
    monkeypatch.setattr(pace, "_call", lambda numbers: repeat())
    assert pace.measure(time.clock()).core_seconds == pytest.approx(3e-4)


def test_work_is_handed_over_to_as_many_threads_as_torch_has(two_threads, monkeypatch):
    made = []
    monkeypatch.setattr(torch, "zeros", lambda n, zeros=torch.zeros: made.append(n) or zeros(n))
    assert pace.measure(SimulatedTime().clock()).team_seconds == 0.0
    assert made[0] == 2 * pace.GRAIN


def test_a_worker_tells_it_for_the_threads_of_its_cases(two_threads):
    alone, team = asked(None, 1), asked(None, 2)
    assert alone["team_seconds"] is None
    assert min(alone["core_seconds"], team["core_seconds"], team["team_seconds"]) > 0
