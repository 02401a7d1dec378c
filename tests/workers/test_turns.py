"""What a turn is: an untimed lead, then one block."""

import itertools
from types import SimpleNamespace

import pytest

from bench.workers import turns
from bench.workers.serve import State
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime


@pytest.mark.parametrize(("lead_seconds", "untimed"), [(0.0, []), (0.25, [0.5]), (1.0, [0.5, 0.25, 0.25])])
def test_what_is_repeated_before_a_block_is_not_timed(lead_seconds, untimed):
    time = SimulatedTime()
    repeat = time.repeat_taking(iter([*untimed, 0.125, 0.125, 0.125]))
    state = State(cases={"a": (changed(threads=1), time.clock(), SimpleNamespace(repeat=repeat))})
    assert turns.turn(state, "a", 3, lead_seconds) == [0.125, None, 0]
    assert time.calls == len(untimed) + 3


def test_the_beginning_of_an_epoch_stands_for_all_its_images():
    time, asked = SimulatedTime(), []

    def beginning(steps):
        asked.append(steps)
        time.seconds += 0.25

    epoch = SimpleNamespace(repeat=None, beginning=beginning, images_per_repetition=960)
    state = State(cases={"a": (changed(workload="epoch", threads=1), time.clock(), epoch)})
    # 5 of 15 steps of 64 images.
    assert turns.turn(state, "a", 1, steps=5) == [0.75, None, 0]
    assert asked == [5]


@pytest.mark.parametrize(
    ("step_seconds", "changes", "steps"),
    [(0.001, {}, 800), (0.0015, {}, 534), (0.000625, {}, None), (0.001, {"num_workers": 2}, None)],
)
def test_an_epoch_is_timed_in_part_where_that_saves_at_least_half(step_seconds, changes, steps):
    time = SimulatedTime()

    def beginning(steps):
        time.seconds += steps * step_seconds

    epoch = SimpleNamespace(beginning=beginning, images_per_repetition=120_000)
    case = changed(workload="epoch", feed="loader", threads=1, **changes)
    assert turns._steps(case, epoch, time.clock(), 0.8) == steps


def test_a_block_is_sized_by_what_is_warm_however_long_the_first_repetitions_took():
    time = SimulatedTime()
    repeat = time.repeat_taking(itertools.chain([1.5, 0.9], itertools.repeat(0.001)))
    first = time.clock().time_block(repeat, 1).host_seconds  # a compiled step finds its code in the cache
    assert first == 1.5
    assert turns.warm(repeat, time.clock(), 0.0) == pytest.approx(0.001)


def test_a_device_that_had_nothing_to_do_is_woken_before_the_lead_and_one_at_work_is_not():
    time = SimulatedTime()
    clock = time.clock(wake_seconds=0.05)
    repeat = time.repeat_taking(itertools.repeat(0.01))
    state = State(cases={"a": (changed(threads=1), clock, SimpleNamespace(repeat=repeat))})
    calls = []
    for idle in (0.0, 0.0, 0.04, 0.06):  # the first one of a process had nothing to do before
        time.seconds, time.calls = time.seconds + idle, 0
        turns.turn(state, "a", 1, 0.005)
        calls.append(time.calls - 1)
    awake, woken = 1, 6
    assert calls == [woken, awake, awake, woken]
