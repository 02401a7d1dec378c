"""Each way to be fooled, planted: the flag comes, for its reason alone, and keeps the number out of comparisons."""

import dataclasses
import sys
from types import SimpleNamespace

import pytest
import torch

from bench.analyse.cells import cells
from bench.analyse.compare import compare
from bench.analyse.trust import DERIVED, HARMLESS, OF_THIS_RUN
from bench.measure import settings, validity
from bench.measure.validity import CHECKS, Observation, flags
from bench.record.measurement import Flag
from tests.axes.test_case import changed
from tests.data.records import CPU_RECORD
from tests.data.records import flagged as marked
from tests.data.records import only as only_of
from tests.measure.control_groups import ControlGroups
from tests.measure.steps import counters_of, random_step

CASE = changed(threads=1)


@pytest.fixture(scope="module")
def valid():
    """What is seen of the real step on a quiet machine."""
    training, step = random_step()
    return Observation(CASE, training, counters_of(step, training))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Whoever measures these tests' coverage traces them, and the machine may have a single core."""
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    monkeypatch.setattr(validity, "_monitors", lambda: False)
    settings.apply(CASE)
    monkeypatch.setattr(settings, "cpu_quota_cores", lambda: None)
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)


def only(seen: Observation) -> tuple[str, str]:
    """Name and reason of the one flag."""
    ((name, reason),) = ((flag.name, flag.reason) for flag in flags(seen))
    return name, reason


def test_a_valid_measurement_has_no_flag(valid):
    assert flags(valid) == []


# What goes on meanwhile


def test_more_threads_than_the_control_group_grants_are_too_many(valid, monkeypatch, tmp_path):
    monkeypatch.undo()  # the quota is read here, from a made-up file
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    monkeypatch.setattr(validity, "_monitors", lambda: False)
    groups = ControlGroups(monkeypatch, tmp_path)
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    groups.quota("200000 100000\n")

    def with_threads(threads):
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        return dataclasses.replace(valid, case=dataclasses.replace(CASE, threads=threads))

    assert flags(with_threads(2)) == []
    assert only(with_threads(3)) == ("oversubscribed", "3 threads, and the control group grants the time of 2 cores")
    groups.quota("max 100000\n")
    assert flags(with_threads(3)) == []
    assert only(with_threads(9)) == ("oversubscribed", "9 threads on 8 usable cores")


# The environment


def test_launches_that_block_are_told(valid, monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    assert only(valid)[0] == "launch-blocking"
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "0")
    assert flags(valid) == []


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_anomaly_mode_is_told(valid):
    with torch.autograd.set_detect_anomaly(True):
        assert only(valid)[0] == "anomaly-mode"
    assert flags(valid) == []


def test_torchs_profiler_is_told(valid):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        name, reason = only(valid)
    assert (name, reason) == ("profiled", "torch's profiler was recording")
    assert flags(valid) == []


def test_a_python_profiler_is_told(valid):
    before = sys.getprofile()
    sys.setprofile(lambda *event: None)
    try:
        found = flags(valid)
    finally:
        sys.setprofile(before)
    assert [flag.name for flag in found] == ["profiled"]


def test_a_debugger_is_told(valid, monkeypatch):
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert only(valid)[0] == "profiled"


def test_a_tool_of_newer_pythons_monitoring_is_told(valid, monkeypatch):
    tools = {2: "cProfile"}
    monkeypatch.undo()
    # Not `sys` itself, whose monitoring is what measures these tests' coverage from Python 3.14 on.
    monitoring = SimpleNamespace(get_tool=tools.get)
    quiet = SimpleNamespace(gettrace=lambda: None, getprofile=lambda: None, monitoring=monitoring)
    monkeypatch.setattr(validity, "sys", quiet)
    assert only(valid)[0] == "profiled"
    tools.clear()
    assert flags(valid) == []


def test_a_debug_build_is_told(valid, monkeypatch):
    monkeypatch.setattr(torch.version, "debug", True)
    assert only(valid)[0] == "debug-build"


def test_a_clock_too_coarse_for_the_blocks_is_told(valid):
    block = valid.block_seconds
    assert only(dataclasses.replace(valid, clock_resolution_seconds=block / 500))[0] == "coarse-clock"
    assert flags(dataclasses.replace(valid, clock_resolution_seconds=block / 2000)) == []


def test_what_is_not_as_claimed_is_told(valid):
    name, reason = only(dataclasses.replace(valid, case=dataclasses.replace(CASE, batch_size=128)))
    assert (name, reason.partition(",")[0]) == ("not-as-claimed", "a batch of 128 is 20")


# What comes of a flag

BARRING = [*CHECKS, *(name for name in DERIVED if name not in HARMLESS), "contended", "gpu-shared", "throttled"]


def flagged(name: str):
    id = "step[cpu-b64-fp32]"
    record = marked(only_of(CPU_RECORD, id, "step[cpu-b64-fp32-fused]"), id, Flag(name, "planted"))
    return {cell.id: cell for cell in cells(record)}, {row.id: row for row in compare([record], [record])}, id


@pytest.mark.parametrize("name", BARRING)
def test_a_flagged_number_takes_part_in_no_comparison(name):
    found, rows, id = flagged(name)
    assert found[id].why_not_judged == f"flagged: {name}"
    assert found[id].speedup.ratio is None
    assert found["step[cpu-b64-fp32-fused]"].speedup.ratio is None  # it is the baseline of others
    assert rows[id].ratio is None
    assert name in rows[id].verdict


@pytest.mark.parametrize("name", HARMLESS)
def test_what_ratios_do_not_mind_bars_from_nothing(name):
    found, rows, id = flagged(name)
    assert found[id].why_not_judged is None
    assert found["step[cpu-b64-fp32-fused]"].speedup.ratio is not None
    if name in OF_THIS_RUN:
        assert rows[id].verdict == f"flagged in A: {name}"
    else:
        assert rows[id].verdict == rows["step[cpu-b64-fp32-fused]"].verdict == "no clear difference"
