"""The public Python calls."""

import pytest
import torch

from bench.api import compare, measure


def test_a_callable_is_measured():
    found = measure(lambda: sum(range(1000)), seconds=0.01)
    assert found.summary.time > 0


def test_two_callables_are_compared():
    found = compare(lambda: sum(range(10)), lambda: sum(range(100_000)), seconds=0.01)
    assert found.ratio.value > 10


def test_one_of_several_gpus_is_waited_for_and_has_its_own_events(monkeypatch):
    """Whichever is the current one: on the stream of another, an event would be over at once."""
    did = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            did.append(stream)

        def synchronize(self):
            pass

        def elapsed_time(self, end):
            return 1.0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda number: f"stream of {number}")
    monkeypatch.setattr(torch.cuda, "synchronize", did.append)
    samples = measure(lambda: None, device="cuda:1", seconds=0.01)
    assert set(did) == {1, "stream of 1"}
    assert samples.device_seconds
    with pytest.raises(ValueError, match="cuda:2: there are 2"):
        measure(lambda: None, device="cuda:2")


@pytest.mark.parametrize("device", ["tpu", "xpu", "cuda:x"])
def test_a_device_that_is_not_here_is_refused_with_its_reason(device):
    with pytest.raises(ValueError, match=device):
        compare(lambda: None, lambda: None, device=device)
