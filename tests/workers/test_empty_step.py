"""The step that has nothing to do: the same operators as those of the case beside which it is measured."""

import pytest
import torch

from bench.axes.case import Case
from bench.measure.breakdown import measure_breakdown
from bench.measure.clock import Clock
from bench.measure.device_work import quiet_profiler
from bench.workers import workloads
from fcnn.data import load_images


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


def names(repeat):
    for _ in range(3):
        repeat()
    with quiet_profiler(torch.profiler.ProfilerActivity.CPU) as profile:
        repeat()
    return sorted(event.name for event in profile.events() if event.name.startswith("aten::"))


@pytest.mark.parametrize("workload", ["step", "forward", "forward_backward", "optimizer", "inference"])
@pytest.mark.parametrize("axes", [{}, {"precision": "bf16"}, {"optimizer": "fused"}], ids=["plain", "bf16", "fused"])
def test_an_empty_step_calls_the_same_operators(images, workload, axes):
    case = Case(workload=workload, batch_size=16, threads=1, **axes)
    whole, empty = workloads.BUILDERS[workload](case, images), workloads.empty(case, images)
    assert names(whole.repeat) == names(empty.repeat)


def test_the_step_of_an_epoch_has_an_empty_one_too(images):
    found = workloads.empty(Case(workload="epoch", batch_size=16, threads=1, feed="loader"), images)
    assert found.marked is not None
    assert found.images_per_repetition == 1


def test_a_real_step_is_made_of_products_and_others(images):
    case = Case(batch_size=16, threads=1)
    whole, empty = workloads.step(case, images), workloads.empty(case, images)
    found = measure_breakdown(whole.repeat, empty.repeat, Clock(), empty.marked)
    assert set(found.work_seconds) == set(found.empty_work_seconds) == {"product", "other", "rest"}
    assert all(seconds > 0 for seconds in (*found.work_seconds.values(), *found.empty_work_seconds.values()))
    assert {"forward", "backward", "optimizer"} <= set(found.empty_parts_seconds)
