import itertools
from types import SimpleNamespace

import pytest
import torch

from bench.measure.device_use import REPETITIONS, device_use
from bench.record.measurement import DeviceUse
from tests.measure.machines import NVMLError, gpu
from tests.measure.simulated import SimulatedTime


@pytest.fixture
def memory(monkeypatch):
    """A caching allocator that has seen other cases."""
    seen = SimpleNamespace(reserved=9000, peak=8000)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: setattr(seen, "reserved", 2000))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: setattr(seen, "peak", 1000))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: seen.peak)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: seen.reserved)
    return seen


def test_memory_is_of_the_repetition_and_not_of_what_was_before(memory, monkeypatch):
    time = SimulatedTime()
    gpu(monkeypatch, DeviceGetUtilizationRates=SimpleNamespace(gpu=17, memory=1))
    found = device_use(time.repeat_taking(itertools.repeat(1.0)), time.clock(torch_name="cuda"), busy=True)
    assert found == DeviceUse(1000, 2000, 0.17, None)
    assert time.calls == REPETITIONS


@pytest.mark.parametrize(
    ("busy", "reason"),
    [(True, "not known: Not Supported"), (False, "not measured: NVML looks back for up to a second, and only")],
)
def test_utilisation_that_is_not_known_has_its_reason(memory, monkeypatch, busy, reason):
    gpu(monkeypatch, DeviceGetUtilizationRates=NVMLError("Not Supported"))
    found = device_use(lambda: None, SimulatedTime().clock(torch_name="cuda"), busy=busy)
    assert found.utilisation_fraction is None
    assert found.utilisation_reason.startswith(reason)


def test_on_other_devices_there_is_nothing_of_it():
    assert device_use(lambda: None, SimulatedTime().clock(), busy=True) is None
