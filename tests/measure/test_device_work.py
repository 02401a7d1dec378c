import contextlib
import itertools
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from bench.measure import counters
from bench.measure import device_work as module
from bench.measure.clock import Clock
from bench.measure.device_work import NOT_SEEN, DeviceWork, device_work, quiet_profiler, work_of
from tests.measure.simulated import SimulatedTime
from tests.measure.steps import random_step


@dataclass(frozen=True)
class Event:
    """As torch's profiler gives it: the type of device prints as `DeviceType.CUDA`, times are in µs."""

    name: str
    self_device_time_total: float = 0.0
    device_type: str = "DeviceType.CUDA"
    cpu_time_total: float = 0.0


HOST = "DeviceType.CPU"


def of_others(seconds):
    return {"product": 0.0, "other": pytest.approx(seconds), "copy": 0.0}


def test_kernels_and_busy_time_are_those_of_one_repetition():
    events = [Event("ampere_sgemm_32x32", 30.0), Event("vectorized_elementwise_kernel", 10.0)] * 20
    work = work_of(events, repetitions=20)
    assert work.kernels_launched == 2
    assert work.busy_seconds == pytest.approx(40e-6)
    assert work.cuda_graph_launches == 0


def test_copies_and_fills_keep_the_device_busy_but_are_no_kernels():
    events = [Event("Memcpy HtoD (Pinned -> Device)", 7.0), Event("Memset (Device)", 1.0), Event("relu_kernel", 2.0)]
    work = work_of(events, repetitions=1)
    assert work.kernels_launched == 1
    assert work.busy_seconds == pytest.approx(10e-6)


def test_kernels_of_which_the_profiler_has_lost_some_are_not_counted():
    work = work_of([Event("relu_kernel", 2.0)] * 39, repetitions=20)
    assert work.kernels_launched is None
    assert work.cuda_graph_launches == 0


def test_what_the_host_does_is_not_the_devices_work():
    events = [Event("aten::addmm", 30.0, HOST), Event("cudaLaunchKernel", 5.0, HOST), Event("relu_kernel", 2.0)]
    assert work_of(events, repetitions=1) == DeviceWork(1, 0, of_others(2e-6))


@pytest.mark.parametrize("call", ["cudaMemcpyAsync", "cudaMemcpyAsync_v3020", "cudaMemcpy"])
def test_the_time_in_calls_that_copy_is_the_hosts_and_of_one_repetition(call):
    """A call is as long as it usually is: the first ones under a profiler are not."""
    calls = [Event(call, 0.0, HOST, 900.0), Event(call, 0.0, HOST, 400.0)]
    calls += [Event(call, 0.0, HOST, 30.0), Event("cudaLaunchKernel", 0.0, HOST, 8.0), Event(call, 0.0, HOST, 4.0)] * 4
    copies = [Event("Memcpy HtoD (Pageable -> Device)", 7.0)] * 5
    found = work_of([*calls, *copies], repetitions=5)
    assert found.copy_call_seconds == pytest.approx(34e-6)
    assert found.busy_seconds == pytest.approx(7e-6)


def test_calls_of_which_the_profiler_has_lost_some_count_by_their_mean():
    found = work_of([Event("cudaMemcpyAsync", 0.0, HOST, 30.0)] * 3, repetitions=2)
    assert found.copy_call_seconds == pytest.approx(45e-6)


@pytest.mark.parametrize("launch", ["cudaGraphLaunch", "cudaGraphLaunch_v10000"])
def test_replayed_graphs_are_counted_where_the_host_launches_them(launch):
    events = [Event(launch, 0.0, HOST), *[Event("fused_kernel", 3.0)] * 4] * 5
    assert work_of(events, repetitions=5) == DeviceWork(4, 1, of_others(12e-6))


def test_the_names_of_device_types_are_torchs_own():
    assert str(torch.autograd.DeviceType.CUDA) == Event("kernel").device_type
    with quiet_profiler(torch.profiler.ProfilerActivity.CPU) as profile:
        torch.ones(2) + 1
    event = next(event for event in profile.events() if event.name == "aten::add")
    assert str(event.device_type) == HOST
    assert event.self_device_time_total == 0
    assert work_of(profile.events(), repetitions=1) == DeviceWork(0, 0, of_others(0.0))


def test_a_device_without_such_a_profile_is_not_run():
    def never():
        raise AssertionError("it was run")

    assert device_work(never, Clock()) is None


def test_a_cuda_device_is_profiled_over_some_repetitions(monkeypatch):
    time, profiles = SimulatedTime(), []

    @contextlib.contextmanager
    def profiler(activity):
        profiles.append(activity)
        yield SimpleNamespace(events=lambda: [Event("relu_kernel", 3.0)] * 2 * time.calls)

    monkeypatch.setattr("bench.measure.device_work.quiet_profiler", profiler)
    repeat = time.repeat_taking(itertools.repeat(1e-3))
    found = device_work(repeat, time.clock(torch_name="cuda"), 10)
    assert found == DeviceWork(2, 0, of_others(6e-6))
    assert (time.calls, time.synchronizations) == (10, 2)
    assert profiles == [torch.profiler.ProfilerActivity.CUDA]


@pytest.fixture
def profiles(monkeypatch):
    """What profiles show, one after the other; the second is of the kernel that surely runs."""
    left, kernels = [], []

    @contextlib.contextmanager
    def profiler(activity):
        events = left.pop(0)
        yield SimpleNamespace(events=lambda: events)

    monkeypatch.setattr(module, "quiet_profiler", profiler)
    monkeypatch.setattr(module, "_run_a_kernel", lambda: kernels.append(1))
    module._sees_the_device.cache_clear()
    yield left, kernels
    module._sees_the_device.cache_clear()


HOSTS = [Event("aten::add", 0.0, HOST, 3.0)]


@pytest.mark.parametrize(
    ("surely", "expected"), [(HOSTS, None), ([], None), ([Event("a_kernel", 1.0)], DeviceWork(0, 0, of_others(0.0)))]
)
def test_nothing_seen_is_no_kernel_only_where_the_profiler_sees_one_that_surely_ran(profiles, surely, expected):
    (left, kernels), clock = profiles, SimulatedTime().clock(torch_name="cuda")
    left += [HOSTS, surely, HOSTS]
    assert device_work(lambda: None, clock) == expected
    assert device_work(lambda: None, clock) == expected
    assert (left, len(kernels)) == ([], 1)  # it is tried once a process


def test_what_is_seen_needs_no_trial(profiles):
    left, kernels = profiles
    left.append([Event("Memcpy HtoD (Pinned -> Device)", 7.0)])
    found = device_work(lambda: None, SimulatedTime().clock(torch_name="cuda"), 1)
    assert (found.kernels_launched, kernels) == (0, [])


@pytest.mark.parametrize(("surely", "count", "reason"), [(HOSTS, None, NOT_SEEN), ([Event("a_kernel", 1.0)], 0, None)])
def test_kernels_that_cannot_be_seen_are_not_known_with_the_reason(profiles, surely, count, reason):
    profiles[0][:] = [HOSTS, surely]
    training, step = random_step()
    found = counters.count(step, training, SimulatedTime().clock(torch_name="cuda"), growth=False)
    assert (found.kernels_launched, found.cuda_graph_launches, found.kernels_reason) == (count, count, reason)
