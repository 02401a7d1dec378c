"""Each way to be fooled, planted: the flag comes, for its reason alone, and keeps the number out of comparisons."""

import dataclasses
import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.analyse.cells import cells
from bench.analyse.compare import compare
from bench.measure import honesty, settings, surroundings
from bench.measure.honesty import CHECKS, Seen, flags
from bench.measure.sampling import Rule, measure
from bench.measure.surroundings import Watch
from bench.record.model import Flag
from tests.axes.test_case import changed
from tests.data.records import CPU_RECORD
from tests.data.records import flagged as marked
from tests.data.records import only as only_of
from tests.measure.control_groups import ControlGroups
from tests.measure.machines import Load, gpu
from tests.measure.simulated import SimulatedTime
from tests.measure.steps import counters_of, random_step

CASE = changed(threads=1)
RULE = Rule(budget_seconds=0.5, warmup_seconds=0.2)


def steady(median: float = 1e-3, spread: float = 0.01):
    rng = np.random.default_rng(1)
    while True:
        yield from median * (1 + spread * rng.standard_normal(1000))


def measured(durations=None, rule=RULE):
    """Samples of a simulated repetition, by the real rules."""
    time = SimulatedTime()
    return measure(time.repeat_taking(durations or steady()), time.clock(), rule)


@pytest.fixture(scope="module")
def honest():
    """What is seen of the real step, steadily timed on a quiet machine."""
    training, step = random_step()
    return Seen(CASE, measured(), RULE, training, counters=counters_of(step, training))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Whoever measures these tests' coverage traces them, and the machine may have a single core."""
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    monkeypatch.setattr(honesty, "_monitors", lambda: False)
    settings.apply(CASE)
    monkeypatch.setattr(settings, "cpu_quota_cores", lambda: None)
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)


def only(seen: Seen) -> tuple[str, str]:
    """Name and reason of the one flag."""
    ((name, reason),) = ((flag.name, flag.reason) for flag in flags(seen))
    return name, reason


def test_an_honest_measurement_has_no_flag(honest):
    assert flags(honest) == []
    assert honest.samples.flags == []


# What the samples say


def on_a_gpu(*, waits: bool):
    """Blocks of a device that works on after the host has queued the work; the clock may forget to wait."""
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
    return measure(repeat, clock, RULE)


def test_a_clock_that_does_not_wait_for_the_device_is_unsynchronised(honest):
    name, reason = only(dataclasses.replace(honest, samples=on_a_gpu(waits=False)))
    assert name == "unsynchronised"
    assert "still busy" in reason
    assert flags(dataclasses.replace(honest, samples=on_a_gpu(waits=True))) == []


def test_samples_without_a_warm_up_are_cold(honest):
    def lazy():  # two slow repetitions: the very first call, and one more
        return itertools.chain([3e-2, 1e-2], steady(4e-3))

    name, reason = only(dataclasses.replace(honest, samples=measured(lazy(), rule=Rule(warmup_seconds=0.0))))
    assert (name, reason.partition(":")[0]) == ("cold", "no warm-up")
    assert flags(dataclasses.replace(honest, samples=measured(lazy()))) == []


def test_few_samples_can_be_cold_too(honest):
    def of(*seconds):
        return dataclasses.replace(honest, samples=dataclasses.replace(honest.samples, seconds=list(seconds)))

    name, reason = only(of(3.0, 1.0, 1.1, 1.0))
    assert name == "cold"
    assert "3.0 times as long" in reason
    assert flags(of(1.0, 1.1, 3.0)) == flags(of(3.0, 1.0)) == []


def test_a_machine_that_gets_slower_is_unsteady():
    heating = (1e-3 * (1 + call / 4000) for call in itertools.count())
    assert "unsteady" in {flag.name for flag in measured(heating).flags}


def test_two_levels_are_bimodal():
    rng = np.random.default_rng(2)

    def two_levels():  # a whole block is on one of them
        while True:
            yield from [5e-3 * (1 + 0.2 * (rng.random() < 0.4)) * (1 + 0.003 * rng.standard_normal())] * 2

    assert "bimodal" in {flag.name for flag in measured(two_levels()).flags}


# What goes on meanwhile


@pytest.mark.parametrize("sizes", [(8, 8), (8, 3)], ids=["steady", "changing"])
def test_a_graph_that_is_compiled_while_samples_are_taken_is_a_recompile(honest, sizes):
    torch._dynamo.reset()
    double = torch.compile(lambda x: 2 * x, backend="eager", dynamic=False)
    time, watch, durations, size = SimulatedTime(), Watch(), steady(), sizes[0]

    def repeat():
        time.seconds += next(durations)
        double(torch.ones(size))

    def warm():
        nonlocal size
        watch.start()
        size = sizes[1]

    samples = measure(repeat, time.clock(), RULE, when_warm=warm)
    found = dataclasses.replace(honest, graphs_compiled=watch.seen(CASE, samples, RULE, None).graphs_compiled)
    torch._dynamo.reset()
    if len(set(sizes)) == 1:  # its one graph belongs to the warm-up
        assert flags(found) == []
    else:
        assert only(found) == ("recompiled", "torch.compile made 1 new graph while samples were taken")


def test_another_heavy_process_is_contention(honest, monkeypatch):
    load, watch = Load(monkeypatch), Watch()
    monkeypatch.setattr(surroundings, "graphs_compiled", lambda: 0)
    watch.start()
    load.pass_time(2, own=2)
    alone = watch.seen(CASE, honest.samples, RULE, honest.training)
    assert flags(dataclasses.replace(alone, clock_resolution_seconds=0)) == []
    load.pass_time(2, own=2, user=2)
    shared = watch.seen(CASE, honest.samples, RULE, honest.training)
    name, reason = only(dataclasses.replace(shared, clock_resolution_seconds=0))
    assert (name, reason) == ("contended", "other processes kept 0.5 cores busy meanwhile")


def on_this_gpu(monkeypatch, honest, **answers):
    gpu(monkeypatch, **answers)
    watch = Watch()
    watch.start()
    seen = watch.seen(dataclasses.replace(CASE, device="cuda"), honest.samples, RULE, None)
    return dataclasses.replace(seen, others_cores=0, clock_resolution_seconds=0)


def test_another_process_on_the_gpu_shares_it(honest, monkeypatch):
    answers = {"DeviceGetCurrentClocksEventReasons": 0, "DeviceGetComputeRunningProcesses": ["this", "another"]}
    assert only(on_this_gpu(monkeypatch, honest, **answers)) == ("gpu-shared", "1 other process uses the GPU")


@pytest.mark.parametrize("reason", [0x8, 0x20, 0x40, 0x80])
def test_clocks_that_are_lowered_for_heat_or_power_are_throttled(honest, monkeypatch, reason):
    answers = {"DeviceGetComputeRunningProcesses": ["this"]}
    # Idle, the application's own choice and the power cap are how a GPU works every day: 0x1, 0x2, 0x4.
    seen = on_this_gpu(monkeypatch, honest, DeviceGetCurrentClocksEventReasons=reason | 0x7, **answers)
    name, words = only(seen)
    assert name == "throttled"
    assert f"{reason:#x}" in words
    seen = on_this_gpu(monkeypatch, honest, DeviceGetCurrentClocksEventReasons=0x7, **answers)
    assert flags(seen) == []


def test_a_process_that_has_used_up_its_quota_is_throttled(honest, monkeypatch, tmp_path):
    load, watch, groups = Load(monkeypatch), Watch(), ControlGroups(monkeypatch, tmp_path)
    groups.quota("200000 100000\n")
    groups.stopped(7_000_000)
    watch.start()
    load.pass_time(2, own=2)
    groups.stopped(7_100_000)
    seen = watch.seen(CASE, honest.samples, RULE, honest.training)
    assert only(dataclasses.replace(seen, clock_resolution_seconds=0)) == (
        "throttled", "the control group made it wait for its quota, 0.05 core-seconds per second",
    )  # fmt: skip
    watch.start()
    load.pass_time(2, own=2)
    assert flags(dataclasses.replace(watch.seen(CASE, honest.samples, RULE, None), clock_resolution_seconds=0)) == []


def test_more_threads_than_the_control_group_grants_are_too_many(honest, monkeypatch, tmp_path):
    monkeypatch.undo()  # the quota is read here, from a made-up file
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    monkeypatch.setattr(honesty, "_monitors", lambda: False)
    groups = ControlGroups(monkeypatch, tmp_path)
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    groups.quota("200000 100000\n")

    def with_threads(threads):
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        return dataclasses.replace(honest, case=dataclasses.replace(CASE, threads=threads))

    assert flags(with_threads(2)) == []
    assert only(with_threads(3)) == ("oversubscribed", "3 threads, and the control group grants the time of 2 cores")
    groups.quota("max 100000\n")
    assert flags(with_threads(3)) == []
    assert only(with_threads(9)) == ("oversubscribed", "9 threads on 8 usable cores")


# The environment


def test_launches_that_block_are_told(honest, monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    assert only(honest)[0] == "launch-blocking"
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "0")
    assert flags(honest) == []


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_anomaly_mode_is_told(honest):
    with torch.autograd.set_detect_anomaly(True):
        assert only(honest)[0] == "anomaly-mode"
    assert flags(honest) == []


def test_torchs_profiler_is_told(honest):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        name, reason = only(honest)
    assert (name, reason) == ("profiled", "torch's profiler was recording")
    assert flags(honest) == []


def test_a_python_profiler_is_told(honest):
    before = sys.getprofile()
    sys.setprofile(lambda *event: None)
    try:
        found = flags(honest)
    finally:
        sys.setprofile(before)
    assert [flag.name for flag in found] == ["profiled"]


def test_a_debugger_is_told(honest, monkeypatch):
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert only(honest)[0] == "profiled"


def test_a_tool_of_newer_pythons_monitoring_is_told(honest, monkeypatch):
    tools = {2: "cProfile"}
    monkeypatch.undo()
    # Not `sys` itself, whose monitoring is what measures these tests' coverage from Python 3.14 on.
    monitoring = SimpleNamespace(get_tool=tools.get)
    quiet = SimpleNamespace(gettrace=lambda: None, getprofile=lambda: None, monitoring=monitoring)
    monkeypatch.setattr(honesty, "sys", quiet)
    assert only(honest)[0] == "profiled"
    tools.clear()
    assert flags(honest) == []


def test_a_debug_build_is_told(honest, monkeypatch):
    monkeypatch.setattr(torch.version, "debug", True)
    assert only(honest)[0] == "debug-build"


def test_a_clock_too_coarse_for_the_blocks_is_told(honest):
    block = min(honest.samples.seconds) * honest.samples.block_repetitions
    assert only(dataclasses.replace(honest, clock_resolution_seconds=block / 500))[0] == "coarse-clock"
    assert flags(dataclasses.replace(honest, clock_resolution_seconds=block / 2000)) == []


def test_what_is_not_as_claimed_is_told(honest):
    name, reason = only(dataclasses.replace(honest, case=dataclasses.replace(CASE, batch_size=128)))
    assert (name, reason.partition(",")[0]) == ("not-as-claimed", "a batch of 128 is 20")


# What comes of a flag

BARRING = [*CHECKS, "unsteady", "bimodal", "drift", "impossible"]


def flagged(name: str):
    id = "step[cpu-b64-fp32]"
    record = marked(only_of(CPU_RECORD, id, "step[cpu-b64-fp32-fused]"), id, Flag(name, "planted"))
    return {cell.id: cell for cell in cells(record)}, {row.id: row for row in compare(record, record)}, id


@pytest.mark.parametrize("name", BARRING)
def test_a_flagged_number_takes_part_in_no_comparison(name):
    found, rows, id = flagged(name)
    assert found[id].why_not_judged == f"flagged: {name}"
    assert found[id].speedup.ratio is None
    assert found["step[cpu-b64-fp32-fused]"].speedup.ratio is None  # it is the baseline of others
    assert rows[id].ratio is None
    assert name in rows[id].verdict


def test_a_wide_interval_alone_bars_from_nothing():
    found, rows, id = flagged("wide")
    assert found[id].why_not_judged is None
    assert found["step[cpu-b64-fp32-fused]"].speedup.ratio is not None
    assert rows[id].verdict == "no clear difference"
