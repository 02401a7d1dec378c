import dataclasses

import pytest

from bench.analyse.explain import HELP, explain
from bench.record.model import Yardstick
from tests.analyse.synthetic import COUNTERS, epoch, latencies, phases, record, steady, step, yardsticks


def with_counters(**changes):
    return dataclasses.replace(COUNTERS, **changes)


def calling(calls: int):
    return with_counters(aten_calls={"aten::add_ float32": calls})


def on_a_gpu(*measurements):
    return record(*measurements, sticks=[*yardsticks(), *yardsticks("cuda")])


def test_many_small_calls_are_bound_by_dispatch():
    found = explain(step(500e-6, counters=calling(300)), record())
    assert found.bound == "dispatch"
    assert found.seconds == pytest.approx(300e-6, rel=2e-3)
    assert found.share == pytest.approx(0.6, rel=2e-3)
    assert found.evidence == "300 operator calls at 1.0 µs each: 60% of the time"
    assert found.help == HELP["dispatch"]


def test_much_arithmetic_is_bound_by_compute():
    found = explain(step(0.03, counters=with_counters(flops=2_000_000_000)), record())
    assert found.bound == "compute"
    assert found.seconds == pytest.approx(0.02, rel=2e-3)
    assert found.evidence == "2,000.0 MFLOP at the measured peak: 67% of the time"


def test_many_bytes_are_bound_by_memory():
    large = step(0.02, counters=calling(10), images_per_repetition=16_384)
    found = explain(large, record())
    assert found.bound == "memory"
    assert found.seconds == pytest.approx(16_384 * 3144 / 1e10 + 1_120_000 / 4e10, rel=2e-3)


def test_waiting_for_batches_is_bound_by_data():
    found = explain(epoch(2.0, phases=phases(fetch=1.4, forward=0.3, optimizer=0.3)), record())
    assert (found.bound, found.seconds) == ("data", 1.4)
    assert found.evidence == "fetching batches: 70% of the time"


def test_the_calls_of_an_epoch_are_those_of_all_its_steps():
    found = explain(epoch(0.2, phases=phases(fetch=0.05, forward=0.1)), record())
    assert found.bound == "dispatch"
    assert found.seconds == pytest.approx(938 * 100 * 1e-6, rel=2e-3)
    assert found.evidence.startswith("93,800 operator calls")


def test_copies_to_a_gpu_are_a_transfer_and_those_to_the_cpu_are_none():
    parts = phases(to_device=0.8, forward=0.2)
    assert explain(epoch(1.0, device="cuda", phases=parts), on_a_gpu()).bound == "transfer"
    assert explain(epoch(1.0, phases=parts), record()).bound == "dispatch"


def test_small_calls_on_a_gpu_are_bound_by_its_launches():
    found = explain(step(500e-6, device="cuda", counters=calling(300)), on_a_gpu())
    assert found.bound == "launch"
    assert "CUDA graphs" in found.help


def test_only_calls_that_start_a_kernel_cost_a_launch():
    """The others cost a dispatch, where that is known; a graph launches its kernels by itself."""
    dear = [y for y in yardsticks("cuda") if y.name != "launch"]
    dear.append(Yardstick("launch", "cuda", "call", 1.0, steady(10e-6)))
    counters = dataclasses.replace(calling(56), kernels_launched=26)
    found = explain(step(1e-3, device="cuda", counters=counters), record(sticks=[*yardsticks(), *dear]))
    assert found.seconds == pytest.approx(26 * 10e-6 + 30 * 1e-6, rel=2e-3)
    assert found.evidence == "26 kernels at 10.0 µs each and 30 other operator calls at 1.0 µs: 29% of the time"
    found = explain(step(1e-3, device="cuda", counters=counters), record(sticks=dear))
    assert found.evidence == "26 kernels at 10.0 µs each: 26% of the time"
    replayed = dataclasses.replace(counters, cuda_graph_launches=1)
    found = explain(step(1e-3, device="cuda", counters=replayed), record(sticks=dear))
    assert found.evidence == "56 operator calls at 10.0 µs each: 56% of the time"


def test_without_counters_or_yardsticks_there_is_no_verdict():
    assert explain(step(counters=None), record()) is None
    assert explain(step(), record(sticks=[])) is None
    assert explain(step(), record(sticks=[y for y in yardsticks() if y.name != "dispatch"])) is None
    assert explain(step(device="cuda"), record()) is None


def test_a_chain_of_steps_is_bound_by_latency():
    few = with_counters(aten_calls={"aten::add_ float32": 1}, flops=1000)
    gpu = record(sticks=[*yardsticks("cuda"), *latencies(grid_barrier=2e-4)])
    found = explain(epoch(0.3, device="cuda", counters=few, phases=phases(forward=0.1)), gpu)
    assert (found.bound, found.help) == ("latency", HELP["latency"])
    assert found.evidence == "dependent steps, at the least that lies between two: 63% of the time"


def hand_over(seconds):
    return Yardstick("backward_thread", "cuda", "pass", 1.0, steady(seconds))


def test_the_thread_of_the_backward_pass_is_named_beside_what_takes_the_most():
    gpu = record(sticks=[*yardsticks("cuda"), hand_over(145e-6)])
    found = explain(step(1e-3, device="cuda", counters=calling(300)), gpu)
    assert found.bound == "launch"
    assert found.evidence == (
        "300 operator calls at 1.0 µs each: 30% of the time; waking autograd's thread and being woken, 145 µs: 15%"
    )
    few = explain(step(1e-3, device="cuda", counters=calling(10)), gpu)
    assert (few.bound, few.evidence) == ("thread", "waking autograd's thread and being woken, 145 µs: 15% of the time")
    assert explain(step(10e-3, device="cuda", counters=calling(5000)), gpu).evidence.endswith("50% of the time")


def test_a_part_without_a_backward_pass_wakes_no_thread():
    gpu = record(sticks=[*yardsticks("cuda"), hand_over(145e-6)])
    forward = step(1e-3, device="cuda", counters=calling(300))
    forward = dataclasses.replace(forward, case=dataclasses.replace(forward.case, workload="forward"))
    assert "thread" not in explain(forward, gpu).evidence


def test_a_captured_step_is_bound_by_its_kernels_and_wakes_no_thread():
    sticks = [*yardsticks("cuda"), hand_over(145e-6), *latencies(graph_node=2e-6)]
    counters = dataclasses.replace(calling(2), kernels_launched=30, flops=1000)
    captured = step(100e-6, device="cuda", counters=counters)
    captured = dataclasses.replace(captured, case=dataclasses.replace(captured.case, compiler="graph"))
    found = explain(captured, record(sticks=sticks))
    assert found.bound == "replay"
    assert found.evidence == "30 kernels of a graph at 2.0 µs each: 60% of the time"
