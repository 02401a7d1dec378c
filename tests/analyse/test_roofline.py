import dataclasses

import pytest

from bench.analyse.roofline import Roofline, cost, latency, rate, roofline, why_no_latency
from bench.record.model import Calibration
from tests.analyse.synthetic import COUNTERS, RATES, calibration, calibrations, epoch, latencies, record, step

IMAGE_BYTES = 784 * 4 + 8
# Read: parameters, gradients and both moments; written: all but the gradients.
UPDATED_BYTES = 2 * 160_000 + 160_000 + 2 * 320_000


def test_the_roofline_of_a_step_is_arithmetic_or_bytes():
    found = roofline(step(), record())
    assert found.compute_seconds == pytest.approx(10e6 / 1e11, rel=2e-3)
    assert found.images_seconds == pytest.approx(64 * IMAGE_BYTES / 1e10, rel=2e-3)
    assert found.update_seconds == pytest.approx(UPDATED_BYTES / 4e10, rel=2e-3)
    assert found.memory_seconds == found.images_seconds + found.update_seconds
    assert found.flops == 10_000_000
    assert found.seconds == found.compute_seconds > found.memory_seconds


def test_the_roofline_of_an_epoch_is_that_of_all_its_steps():
    one, whole = roofline(step(), record()), roofline(epoch(), record())
    assert whole.images_seconds == pytest.approx(60_000 / 64 * one.images_seconds)
    assert whole.update_seconds == pytest.approx(938 * one.update_seconds)  # each step updates, the last as well
    # The last step has 32 images and computes half.
    assert whole.flops == 937.5 * 10_000_000
    assert whole.compute_seconds == pytest.approx(937.5 * one.compute_seconds)


def test_without_an_update_its_bytes_do_not_count():
    forward = step()
    forward = dataclasses.replace(forward, case=dataclasses.replace(forward.case, workload="forward"))
    assert roofline(forward, record()).update_seconds == 0
    assert roofline(forward, record()).images_seconds > 0


def test_the_optimizer_alone_reads_no_images():
    optimizer = step(images_per_repetition=None, counters=dataclasses.replace(COUNTERS, flops=0))
    optimizer = dataclasses.replace(optimizer, case=dataclasses.replace(optimizer.case, workload="optimizer"))
    found = roofline(optimizer, record())
    assert (found.compute_seconds, found.images_seconds) == (0, 0)
    assert found.seconds == found.update_seconds == pytest.approx(UPDATED_BYTES / 4e10, rel=2e-3)


def test_how_far_above_and_how_near_to_the_peak():
    found = Roofline(2e-4, 1e-4, 2e-4, 20_000_000, 1e11)
    assert found.seconds == pytest.approx(3e-4)  # moving the bytes takes longer
    assert found.times_above(6e-4) == pytest.approx(2)
    assert found.share_of_peak(4e-4) == pytest.approx(0.5)


def test_a_rate_is_that_of_the_fastest_sample_before_or_after():
    before, after = [2.0, 1.0, 4.0], [3.0, 0.5]
    stick = Calibration("copy", "cpu", "byte", 100.0, before, None)
    assert rate([stick], "cpu", "copy") == 100
    assert rate([dataclasses.replace(stick, after_samples_seconds=after)], "cpu", "copy") == 200
    assert rate([stick], "cuda", "copy") is None
    assert rate([stick], "cpu", "copy_cached") is None


def test_the_cost_of_a_call_is_the_median_of_the_quieter_probe():
    stick = Calibration("dispatch", "cpu", "call", 1.0, [1e-6, 3e-6, 9e-6], [2e-6, 2e-6, 8e-6])
    assert cost([stick], "cpu", "dispatch") == 2e-6
    assert cost([stick], "cuda", "launch") is None


def test_the_peak_is_that_of_the_cases_precision_and_device():
    half = calibration(
        "matmul_bf16", unit="flop", work_per_repetition=2e11, samples_seconds=[1.0], after_samples_seconds=None
    )
    bf16 = step()
    bf16 = dataclasses.replace(bf16, case=dataclasses.replace(bf16.case, precision="bf16"))
    assert roofline(bf16, record(sticks=[*calibrations(), half])).peak_flops_per_second == 2e11
    assert roofline(bf16, record()) is None
    assert roofline(step(device="cuda"), record()) is None


def on_a_gpu(**seconds):
    return record(sticks=[*calibrations("cuda"), *latencies(**seconds)])


def test_on_a_gpu_a_step_waits_for_the_one_before_by_the_quicker_of_a_kernel_and_a_barrier():
    gpu = on_a_gpu(graph_node=3e-4, grid_barrier=2e-4)
    one, whole = roofline(step(device="cuda"), gpu), roofline(epoch(device="cuda"), gpu)
    assert one.seconds == one.latency_seconds == pytest.approx(2e-4, rel=2e-3)
    assert one.compute_seconds == pytest.approx(1e-4, rel=2e-3)  # which is less
    assert whole.seconds == pytest.approx(938 * 2e-4, rel=2e-3)
    assert one.bound == whole.bound == "grid_barrier"
    assert roofline(step(device="cuda"), on_a_gpu(graph_node=1.5e-4, grid_barrier=2e-4)).bound == "graph_node"
    assert roofline(step(device="cuda"), on_a_gpu(graph_node=1.5e-4)).bound == "graph_node"


def test_the_bound_that_binds_is_named():
    quick = on_a_gpu(graph_node=1e-6, grid_barrier=1e-6)
    assert roofline(step(device="cuda"), quick).bound == "compute"
    assert roofline(step(device="cuda", images_per_repetition=640), quick).bound == "memory"
    assert roofline(step(), record()).bound == "compute"
    assert roofline(step(), record()).latency_seconds == 0  # a CPU has no such thing


def test_a_latency_that_is_not_known_bounds_nothing_and_has_its_reason():
    unknown = Calibration("grid_barrier", "cuda", "barrier", 1.0, [], reason="cuda-bindings is not installed")
    sticks = [*calibrations("cuda"), *latencies(graph_node=3e-4), unknown]
    assert latency(sticks, "cuda") == (pytest.approx(3e-4, rel=2e-3), "graph_node")
    assert why_no_latency(sticks, "cuda") == "grid_barrier is not known: cuda-bindings is not installed"
    assert (latency(sticks, "cpu"), why_no_latency(sticks, "cpu")) == (None, None)
    assert latency([unknown], "cuda") is None
    assert (rate([unknown], "cuda", "grid_barrier"), cost([unknown], "cuda", "grid_barrier")) == (None, None)


@pytest.mark.parametrize("missing", list(RATES))
def test_without_a_calibration_or_counters_there_is_no_roofline(missing):
    assert roofline(step(), record(sticks=[y for y in calibrations() if y.name != missing])) is None
    assert roofline(step(counters=None), record()) is None
