"""Slowness planted where it is known, measured for real: the verdict must name it. Only the verdict: never a time."""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from bench.analyse.explain import explain
from bench.axes.feeds import FEEDS, Feed
from bench.record.model import Yardstick
from bench.workers import workloads
from fcnn.data import Images, _dataset, load_images
from tests.axes.test_case import changed
from tests.suite.local import Workers, run

pytestmark = pytest.mark.slow


def many_images(count: int) -> Images:
    """Random pixels; whether they can be learnt is of no matter here."""
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
    dataset = _dataset(pixels, torch.arange(count) % 10)
    return Images("made-up", f"{count:,} made-up images", dataset, dataset, "0" * 64)


@functools.cache
def calibration() -> list[Yardstick]:
    """The machine's, by the threads and the precision of all cases here."""
    with Workers(many_images(64)).start() as worker:
        found = worker.ask("calibrate", devices=["cpu"], threads=1, precisions={"cpu": ["fp32"]})
    return [Yardstick(**yardstick) for yardstick in found]


def verdict(case: Any, images: Images, folder: Path) -> Any:
    """By the way of every number: journal, record, explanation."""
    record = dataclasses.replace(run(images, folder, case).measure(), yardsticks=calibration())
    found = explain(record.measurements[0], record)
    assert found is not None
    print(found)  # shown where the test fails
    return found


def slow_collate(items: list[Any]) -> Any:
    time.sleep(2e-3)
    return default_collate(items)


def slow_loader(images: Images, case: Any, seed: int) -> Any:
    return DataLoader(images.train, batch_size=case.batch_size, shuffle=True, collate_fn=slow_collate)


def test_an_epoch_from_a_slow_loader_waits_for_data(mnist_root, tmp_path, monkeypatch):
    monkeypatch.setitem(FEEDS, "loader", Feed("loader", "a slow one", slow_loader))
    images = load_images("MNIST", mnist_root)
    found = verdict(changed(workload="epoch", feed="loader", threads=1), images, tmp_path)
    assert found.bound == "data"
    assert found.share > 0.5


def test_an_epoch_from_memory_does_not_wait_for_data(mnist_root, tmp_path):
    found = verdict(changed(workload="epoch", feed="resident", threads=1), load_images("MNIST", mnist_root), tmp_path)
    assert found.bound != "data"


def test_a_step_on_a_large_batch_is_bound_by_the_processor_or_its_memory(tmp_path):
    found = verdict(changed(batch_size=16_384, threads=1), many_images(16_384), tmp_path)
    assert found.bound in ("compute", "memory")


def test_a_step_on_one_image_is_bound_by_dispatch(mnist_root, tmp_path):
    found = verdict(changed(batch_size=1, threads=1), load_images("MNIST", mnist_root), tmp_path)
    assert found.bound == "dispatch"


def test_a_planted_slowness_elsewhere_explains_little(mnist_root, tmp_path, monkeypatch):
    """What no candidate accounts for is not laid to one of them: the share says how little is explained."""
    original = workloads.train.train_step

    def sleeping(*args: Any, **options: Any) -> torch.Tensor:
        time.sleep(10e-3)
        return original(*args, **options)

    monkeypatch.setattr(workloads.train, "train_step", sleeping)
    found = verdict(changed(batch_size=64, threads=1), load_images("MNIST", mnist_root), tmp_path)
    assert found.share < 0.2
