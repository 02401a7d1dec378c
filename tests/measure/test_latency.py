"""The two chains of a GPU, as far as a machine without one can tell; `tests/gpu` has the rest."""

import gc
import types
import weakref

import pytest
import torch

from bench.errors import BenchError
from bench.measure import calibration, latency, nvrtc
from bench.measure.clock import Clock
from tests.measure.streams import Streams

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


@pytest.fixture
def streams(monkeypatch):
    return Streams(monkeypatch)


def test_a_graph_holds_a_kernel_per_node(streams, monkeypatch):
    """The first one is launched before, so that nothing is captured that only a first call does."""
    monkeypatch.setattr(torch.Tensor, "fill_", lambda number, value: streams.note("kernel"))
    prepared = latency.graph_node("cpu", Clock())
    prepared.repeat()
    assert streams.notes == [
        "side waits for main", "kernel on side", "main waits for side",
        *["kernel on side, captured"] * prepared.work, *["replay on main"] * 2,
    ]  # fmt: skip


def graph_node():
    return latency.graph_node("cpu", Clock()).repeat


def cached_copy():
    once = calibration._copy(lambda device: 64)("cpu", Clock())
    return latency.in_a_graph(once.repeat, calibration.GRAPH_COPIES)


@pytest.mark.parametrize(("probe", "method"), [(graph_node, "fill_"), (cached_copy, "copy_")])
def test_the_tensors_that_a_graph_works_on_live_as_long_as_its_replay(streams, monkeypatch, probe, method):
    """A graph writes to their memory, which torch would give to others by then."""
    seen = {}

    def work(*of):
        seen.update({id(one): weakref.ref(one) for one in of if torch.is_tensor(one)})

    def alive():
        gc.collect()
        return sum(one() is not None for one in seen.values())

    monkeypatch.setattr(torch.Tensor, method, work)
    replay = probe()
    assert alive() == len(seen) == (2 if probe is cached_copy else 1)
    del replay
    assert alive() == 0
