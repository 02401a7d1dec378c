"""Trainings from their seeds."""

import pytest

from bench.workers import training
from fcnn.data import load_images
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


def test_accuracy_repeats_from_its_seeds_and_evaluation_is_not_timed(images):
    time = SimulatedTime()
    case = changed(workload="accuracy", threads=1)
    runs = [[training.Trainings(case, images, time.clock()).train(seed) for seed in (0, 1)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0][0].test_accuracy_fraction > 0.5  # the images are learnable, ten classes by chance give 0.1
    # The clock is read twice a block of 50 steps and never while evaluating: ten steps an epoch are one block.
    assert [one.seconds for one in runs[0]] == [0.0, 0.0]


def test_a_seed_that_never_reaches_the_target_has_no_time(images, monkeypatch):
    monkeypatch.setattr(training, "TARGET_FRACTION", 1.1)
    trained = training.Trainings(changed(workload="accuracy", threads=1), images, SimulatedTime().clock()).train(0)
    assert trained.seconds_to_target is None
