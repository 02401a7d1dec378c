"""The two chains of a GPU, which only a GPU has."""

import math

import pytest
import torch

from bench.axes.devices import DEVICES
from bench.errors import BenchError
from bench.measure import calibration, latency, nvrtc
from bench.measure.clock import Clock

# A kernel of a graph takes about 1.3 µs on an H100 and a barrier 1 µs; no GPU takes a tenth or ten times of that.
LEAST_SECONDS, MOST_SECONDS = 1e-7, 2e-5
needs_nvrtc = pytest.mark.skipif(nvrtc.why_not() is not None, reason=nvrtc.why_not() or "")


def clock():
    return Clock(DEVICES["cuda"])


def seconds_each(prepared):
    prepared.repeat()
    return min(clock().time_block(prepared.repeat, 1).host_seconds for _ in range(10)) / prepared.work


def test_a_node_of_a_graph_takes_microseconds():
    assert LEAST_SECONDS < seconds_each(latency.graph_node("cuda", clock())) < MOST_SECONDS


@needs_nvrtc
def test_a_barrier_takes_microseconds_and_all_blocks_cross_all():
    prepared = latency.grid_barrier("cuda", clock())
    assert LEAST_SECONDS < seconds_each(prepared) < MOST_SECONDS
    prepared.check()


@needs_nvrtc
def test_a_barrier_that_not_all_reach_ends_in_an_error(monkeypatch):
    """One block does not take part, as if it had died; the others give up in their time."""
    deserting = latency.SOURCE.replace(
        "if (threadIdx.x == 0) alone = false;", "alone = false; if (!blockIdx.x) return;"
    )
    assert deserting != latency.SOURCE
    monkeypatch.setattr(latency, "SOURCE", deserting)
    monkeypatch.setattr(latency, "PATIENCE", 1000)
    prepared = latency.grid_barrier("cuda", clock())
    prepared.repeat()
    with pytest.raises(Exception, match="blocks had waited in vain"):
        prepared.check()


@needs_nvrtc
def test_more_blocks_than_fit_are_refused_and_not_waited_for():
    kernel = nvrtc.compile('extern "C" __global__ void nothing() {}', "nothing")
    with pytest.raises(BenchError, match="TOO_LARGE"):
        nvrtc.launch_cooperative(kernel, 1_000_000, 32, [])
    nvrtc.launch_cooperative(kernel, 1, 32, [])
    torch.cuda.synchronize()


def test_a_calibration_is_whole_and_leaves_the_memory_free():
    torch.zeros(1, device="cuda")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    found = {y.name: y for y in calibration.run("cuda", 1, {"fp32", "bf16"})}
    assert {name: y.reason for name, y in found.items() if y.reason} == {}
    assert {"matmul_fp32", "copy", "copy_cached", "launch", "graph_node", "grid_barrier"} <= set(found)
    assert all(math.isfinite(seconds) and seconds > 0 for y in found.values() for seconds in y.samples_seconds)
    # What the library for products keeps to work with stays; the buffers, gigabytes, do not.
    assert torch.cuda.memory_reserved() - before < 2**28
