"""The calibration of a run: what it does where others take the processor meanwhile."""

import math
from types import SimpleNamespace

import pytest

from bench.record.model import Beside
from bench.suite import session
from bench.suite.session import MOST_CALIBRATIONS, Session


class Worker:
    """Answers with one calibration, which takes so long, and one that cannot be timed."""

    pid = 1

    def __init__(self, seconds):
        self.seconds, self.asked = list(seconds), 0

    def ask(self, name, limit_seconds, **arguments):
        assert (name, list(arguments)) == ("calibrate", ["devices"])
        samples = [self.seconds[self.asked], 9.0]
        self.asked += 1
        return [
            {"name": "copy", "samples_seconds": samples, "work_per_repetition": 2.0},
            {"name": "graph_node", "samples_seconds": [], "work_per_repetition": 1.0},
        ]


def calibrated(monkeypatch, worker, disturbed, devices=("cpu",), watched=None):
    reasons = iter(disturbed)

    class Watch:
        def __init__(self, pid, gpu, clocks):
            assert (pid, gpu, clocks) == (worker.pid, watched, False)

        def seen(self):
            return Beside(), next(reasons)

    monkeypatch.setattr(session, "Watch", Watch)
    journal = SimpleNamespace(lines=[{"gpu": "a uuid"}])
    return Session(None, journal, None)._calibrated(worker, devices=list(devices))


@pytest.mark.parametrize(
    ("seconds", "disturbed", "asked", "best"),
    [
        ([3.0], [None], 1, 3.0),
        ([8.0, 3.0], ["busy", None], 2, 3.0),
        ([3.0, 8.0], ["busy", None], 2, 3.0),  # the quickest, whatever was beside it: a peak is what can be reached
        ([8.0, 4.0, 5.0], ["busy"] * 3, MOST_CALIBRATIONS, 4.0),
    ],
)
def test_it_is_repeated_while_others_disturb_and_the_quickest_counts(monkeypatch, seconds, disturbed, asked, best):
    worker = Worker(seconds)
    copy, node = calibrated(monkeypatch, worker, disturbed)
    assert worker.asked == asked
    assert copy["samples_seconds"] == [best, 9.0]
    assert node["samples_seconds"] == []


def test_others_are_looked_for_on_the_gpu_where_it_is_calibrated(monkeypatch):
    worker = Worker([8.0, 3.0])
    disturbed = ["1 other process uses the GPU", None]
    copy, _ = calibrated(monkeypatch, worker, disturbed, devices=("cpu", "cuda"), watched="a uuid")
    assert (worker.asked, copy["samples_seconds"]) == (2, [3.0, 9.0])


def test_what_could_not_be_timed_is_the_slowest():
    assert session._quickest({"samples_seconds": [], "work_per_repetition": 1.0}) == math.inf
