"""What a turn is: an untimed lead, then one block."""

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
