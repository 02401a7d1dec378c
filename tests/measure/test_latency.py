"""The two chains of a GPU, as far as a machine without one can tell; `tests/gpu` has the rest."""

import contextlib
import types

import pytest
import torch

from bench.errors import BenchError
from bench.measure import latency, nvrtc
from bench.measure.clock import Clock

BLOCKS = 132


@pytest.mark.skipif(nvrtc.why_not() is not None, reason=nvrtc.why_not() or "")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_the_barrier_compiles_for_every_architecture_without_spilling_registers(arch):
    made = nvrtc.binary(latency.SOURCE, arch, ["--ptxas-options=-v"])
    assert "0 bytes spill stores, 0 bytes spill loads" in made.log
    assert "warning" not in made.log


@pytest.fixture
def launches(monkeypatch):
    """What the kernel does to its two counters, in its place: (arrivals, blocks that gave up)."""
    outcome = [latency.BARRIERS * BLOCKS, 0]

    def launch(kernel, grid, block, args):
        arrived, given_up, count, patience = args
        assert (kernel, grid, block) == ("cross_barriers", BLOCKS, 32)
        assert (count.value, patience.value) == (latency.BARRIERS, latency.PATIENCE)
        arrived += outcome[0]
        given_up += outcome[1]

    monkeypatch.setattr(nvrtc, "compile", lambda source, name: name)
    monkeypatch.setattr(nvrtc, "launch_cooperative", launch)
    properties = types.SimpleNamespace(multi_processor_count=BLOCKS)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return outcome


def test_every_launch_counts_its_barriers_from_the_beginning(launches):
    prepared = latency.grid_barrier("cpu", Clock())
    assert prepared.work == latency.BARRIERS
    for _ in range(3):
        prepared.repeat()
    prepared.check()


@pytest.mark.parametrize("outcome", [(latency.BARRIERS * BLOCKS, 1), (latency.BARRIERS * BLOCKS - 1, 0)])
def test_barriers_that_were_not_crossed_are_an_error(launches, outcome):
    launches[:] = outcome
    prepared = latency.grid_barrier("cpu", Clock())
    prepared.repeat()
    with pytest.raises(BenchError, match=rf"of 2,000 barriers with 132 blocks, .* {outcome[1]} blocks had waited"):
        prepared.check()


def test_the_counters_do_not_overflow():
    assert latency.BARRIERS * 1000 < 2**31  # the largest GPUs have fewer multiprocessors


def test_a_graph_holds_a_kernel_per_node(monkeypatch):
    """Kernels are counted while they are captured; the first one is launched before."""
    seen = {"launched": 0, "captured": 0, "replayed": 0}
    capturing = []

    @contextlib.contextmanager
    def graph(_):
        capturing.append(True)
        yield
        capturing.pop()

    class Graph:
        def replay(self):
            seen["replayed"] += 1

    def fill(number, value):
        seen["captured" if capturing else "launched"] += 1

    stream = types.SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.Tensor, "fill_", fill)
    prepared = latency.graph_node("cpu", Clock())
    prepared.repeat()
    assert seen == {"launched": 1, "captured": prepared.work, "replayed": 2}
