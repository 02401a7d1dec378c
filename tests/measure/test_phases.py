import itertools

import pytest
import torch

from bench.measure.phases import EPOCH_PARTS, measure_phases
from fcnn.data import TensorBatches
from fcnn.train import PARTS, train_epoch
from tests.measure.simulated import SimulatedTime
from tests.measure.steps import random_batch, random_step

STEP = {"to_device": 1.0, "forward": 4.0, "backward": 8.0, "optimizer": 2.0}


def repeating(time: SimulatedTime, parts: dict[str, float], unmarked_rest: float = 0.0, log: list | None = None):
    """A repetition of parts that take so long, and something after the last mark."""

    def repeat(mark):
        seen = []
        for part, seconds in parts.items():
            time.seconds += seconds
            mark(part)
            seen.append(part)
        time.seconds += unmarked_rest
        if log is not None:
            log.append(mark)

    return repeat


def test_parts_and_rest_add_up_to_the_block():
    time = SimulatedTime()
    phases = measure_phases(repeating(time, STEP, unmarked_rest=0.5), time.clock(), repetitions=3, rounds=2)
    assert phases.host_seconds == {**STEP, "rest": 0.5}
    assert list(phases.host_seconds)[-1] == "rest"
    assert phases.sum_seconds == phases.unmarked_seconds == 15.5
    assert phases.closure_fraction == 0.0
    assert phases.device_busy_seconds is None


def test_what_the_marks_cost_is_rest_or_part_and_shows_as_closure():
    time = SimulatedTime()

    def now():
        time.seconds += 0.125  # reading the clock takes time, too
        return time.seconds

    clock = time.clock()
    clock = type(clock)(clock.device, now)
    phases = measure_phases(repeating(time, STEP), clock, repetitions=4, rounds=3)
    marked_block = 4 * (15 + 0.125 * 5) + 0.125  # a reading before the parts, one after each, one after the block
    assert phases.sum_seconds == pytest.approx(marked_block / 4)
    assert phases.unmarked_seconds == pytest.approx(15 + 0.125 / 4)
    assert phases.closure_fraction == pytest.approx(phases.sum_seconds / phases.unmarked_seconds - 1)
    assert phases.closure_fraction > 0.03


def test_marked_and_unmarked_blocks_alternate():
    time, log = SimulatedTime(), []
    measure_phases(repeating(time, STEP, log=log), time.clock(), repetitions=2, rounds=3)
    blocks = ["unmarked" if getattr(mark, "__name__", "") == "unmarked" else "marked" for mark in log]
    assert blocks == ["marked", "marked", "unmarked", "unmarked"] * 3


def test_the_parts_are_medians_over_the_rounds():
    time = SimulatedTime()
    forward = itertools.cycle([1.0, 1.0, 1.0, 1.0, 9.0, 9.0])  # the third round was disturbed

    def repeat(mark):
        time.seconds += next(forward)
        mark("forward")

    phases = measure_phases(repeat, time.clock(), repetitions=1, rounds=3)
    assert phases.host_seconds == {"forward": 1.0}
    assert phases.unmarked_seconds == 1.0


def test_the_beginning_of_a_long_repetition_is_scaled_up_to_all_of_it():
    time, log = SimulatedTime(), []
    repeat = repeating(time, STEP, unmarked_rest=1.0, log=log)
    phases = measure_phases(repeat, time.clock(), repetitions=1, rounds=2, share=0.25)
    assert phases.host_seconds == {**{part: 4 * seconds for part, seconds in STEP.items()}, "rest": 4.0}
    assert (phases.sum_seconds, phases.unmarked_seconds, phases.closure_fraction) == (64.0, 64.0, 0.0)
    assert len(log) == 4


def test_parts_of_the_real_step_are_those_it_names():
    time = SimulatedTime()
    _, step = random_step(8)
    ticks = itertools.count()
    clock = type(time.clock())(time.device(), lambda: float(next(ticks)))
    phases = measure_phases(step, clock, repetitions=2, rounds=2)
    # Every reading of this clock is a second after the last: each part is the one reading at its end.
    assert phases.host_seconds == {**dict.fromkeys(PARTS, 1.0), "rest": 1.5}


def test_parts_of_the_real_epoch_begin_with_fetching_a_batch():
    time = SimulatedTime()
    training, _ = random_step(8)
    batches = TensorBatches(*random_batch(24), 8, shuffle=True)
    ticks = itertools.count()
    clock = type(time.clock())(time.device(), lambda: float(next(ticks)))
    phases = measure_phases(lambda mark: train_epoch(training, batches, mark), clock, repetitions=1, rounds=1)
    assert tuple(phases.host_seconds) == (*EPOCH_PARTS, "rest")
    assert ("fetch", *PARTS) == EPOCH_PARTS
    assert phases.host_seconds["fetch"] == phases.host_seconds["optimizer"] == 3.0  # three batches


def test_a_real_step_learns_marked_or_not():
    training, step = random_step(8)
    before = training.model.state_dict()["fc1.weight"].clone()
    phases = measure_phases(step, SimulatedTime().clock(), repetitions=1, rounds=1)
    assert not torch.equal(before, training.model.state_dict()["fc1.weight"])
    assert phases.device_busy_seconds is None
