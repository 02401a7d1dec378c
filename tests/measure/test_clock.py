import gc
import itertools

import pytest

from bench.axes.devices import DEVICES
from bench.measure.clock import Clock, clock_resolution_seconds, garbage_collector_off
from tests.measure.simulated import SimulatedTime


def test_a_block_is_the_time_of_its_repetitions():
    time = SimulatedTime()
    block = time.clock().time_block(time.repeat_taking(itertools.repeat(0.25)), 4)
    assert (block.host_seconds, block.device_seconds, time.calls) == (1.0, None, 4)


def test_an_asynchronous_device_is_waited_for_before_and_after_the_block():
    time = SimulatedTime()
    queued = [2.0]  # work queued before the block, which must not be counted in it

    def synchronize() -> None:
        time.seconds += sum(queued)
        queued.clear()

    block = time.clock(synchronize=synchronize).time_block(lambda: queued.append(0.5), 3)
    assert block.host_seconds == 1.5


def test_device_events_enclose_the_repetitions_and_come_in_seconds():
    time = SimulatedTime()
    order = []

    class Event:
        def record(self) -> None:
            order.append("event")
            self.at = time.seconds

        def synchronize(self) -> None:
            order.append("wait for the last event")

        def elapsed_time(self, end: "Event") -> float:
            return (end.at - self.at) * 1e3

    def repeat() -> None:
        order.append("repeat")
        time.seconds += 0.125

    clock = time.clock(timing_event=Event, synchronize=lambda: order.append("synchronize"))
    block = clock.time_block(repeat, 2)
    assert order == ["synchronize", "event", "repeat", "repeat", "event", "synchronize", "wait for the last event"]
    assert block.device_seconds == 0.25


def test_every_asynchronous_row_of_the_device_table_synchronises():
    # A no-op synchronisation is right for the CPU alone.
    cpu = DEVICES["cpu"].synchronize
    assert all(row.synchronize is not cpu for name, row in DEVICES.items() if name != "cpu")
    assert DEVICES["cuda"].timing_event is not None


def test_the_cuda_row_waits_for_cuda_and_uses_timed_events(monkeypatch):
    import torch

    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("synchronize"))

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            calls.append(f"event timing={enable_timing}")

        def record(self) -> None:
            calls.append("record")

        def synchronize(self) -> None:
            calls.append("event over")

        def elapsed_time(self, end: "Event") -> float:
            return 1.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    block = Clock(DEVICES["cuda"]).time_block(lambda: calls.append("step"), 1)
    assert calls == [
        # Torch makes an event when it is first recorded: before the block.
        "event timing=True", "record", "event timing=True", "record",
        "synchronize", "record", "step", "record", "synchronize", "event over",
    ]  # fmt: skip
    assert block.device_seconds == 0.001


def test_the_collector_is_off_inside_and_as_before_outside():
    assert gc.isenabled()
    with garbage_collector_off():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_clocks_step_is_the_smallest_seen():
    ticks = itertools.accumulate(itertools.cycle([0, 0, 3e-6, 0, 1e-6, 2e-6]))
    assert clock_resolution_seconds(lambda: next(ticks)) == pytest.approx(1e-6)


def test_a_clock_of_coarse_steps_is_waited_for():
    readings = itertools.chain.from_iterable(itertools.repeat(second, 7) for second in itertools.count())
    assert clock_resolution_seconds(lambda: next(readings)) == 1


@pytest.mark.parametrize("waits", [True, False])
def test_events_tell_a_clock_that_does_not_wait_for_its_device(waits):
    """The device works on after the host has queued the work; `bench.analyse.trust` compares the two."""
    time, busy_until = SimulatedTime(), [0.0]

    def repeat():
        time.seconds += 1e-4
        busy_until[0] = max(busy_until[0], time.seconds) + 1e-3

    class Event:
        def record(self):
            self.at = max(busy_until[0], time.seconds)

        def synchronize(self):
            time.seconds = max(time.seconds, self.at)

        def elapsed_time(self, end):
            if end.at > time.seconds:  # as CUDA does
                raise RuntimeError("Both events must be completed before calculating elapsed time.")
            return 1e3 * (end.at - self.at)

    def synchronize():
        time.seconds = max(time.seconds, busy_until[0])

    clock = time.clock(synchronize=synchronize if waits else lambda: None, timing_event=Event)
    block = clock.time_block(repeat, 20)
    assert block.device_seconds == pytest.approx(20e-3, rel=0.01)
    assert (block.host_seconds >= 0.95 * block.device_seconds) is waits
