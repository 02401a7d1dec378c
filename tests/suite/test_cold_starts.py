"""Starts from nothing, after a training has its number: what they cost where they fail, and that none is done twice."""

import dataclasses

import pytest

from bench.workers.conversation import WorkerDied
from bench.workers.images import EMBEDDED
from fcnn.data import load_images
from tests.axes.test_case import changed
from tests.suite.local import QUICK, Workers, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("measured_once")]


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


class Starting(Workers):
    """Whose fresh processes answer at once, or fail."""

    def __init__(self, images, answers):
        super().__init__(images)
        self.answers, self.asked, self.datasets = iter(answers), [], []

    def afresh(self, name, limit_seconds, called, environment=None, /, **more):
        self.asked.append((name, more["case"]["workload"], sorted(environment)))
        self.datasets.append(more.get("dataset"))
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def start_up(factor, training=0.5):
    parts = {"import_seconds": 2.0, "images_seconds": 0.25, "device_seconds": 0.125, "first_step_seconds": 0.0625}
    return {**{name: factor * seconds for name, seconds in parts.items()}, "training_seconds": training}


@pytest.mark.parametrize(
    ("answers", "started", "problems"),
    [
        ([start_up(1), start_up(2), start_up(4)], 3, []),
        ([start_up(1), WorkerDied("it was killed")], 1, ["accuracy[cpu-b64-fp32]: no cold start: it was killed"]),
    ],
)
def test_a_cold_start_that_fails_costs_no_number(images, tmp_path, answers, started, problems):
    going = run(images, tmp_path, changed(workload="accuracy"), effort=dataclasses.replace(QUICK, thorough=True))
    going.workers = Starting(images, answers)
    record = going.measure()
    assert [len(m.start_ups) for m in record.measurements] == [started]
    assert [line["what"] for line in going.journal.lines if line["kind"] == "problem"] == problems
    empty = ["TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"]
    assert going.workers.asked == [("start_up", "accuracy", empty)] * len(answers)


def test_a_run_that_goes_on_starts_no_more_than_it_lacks(images, tmp_path):
    going = run(images, tmp_path, changed(workload="accuracy"), effort=dataclasses.replace(QUICK, thorough=True))
    going.journal.write("started", id="accuracy[cpu-b64-fp32]", start_up=start_up(1))
    going.workers = Starting(images, [start_up(2), start_up(4)])
    [trained] = going.measure().measurements
    assert [one.import_seconds for one in trained.start_ups] == [2.0, 4.0, 8.0]


@pytest.mark.parametrize("reason", [None, "no network"])
def test_a_cold_start_looks_for_no_images_that_could_not_be_had(images, tmp_path, reason):
    going = run(images, tmp_path, changed(workload="accuracy"), effort=dataclasses.replace(QUICK, thorough=True))
    going.journal.lines[0]["dataset"]["fallback_reason"] = reason
    going.workers = Starting(images, [start_up(1)] * 3)
    going.measure()
    assert going.workers.datasets == [reason and EMBEDDED] * 3
