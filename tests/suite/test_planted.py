"""Slowness planted where it is known, measured for real: the account must name it. Only the term: never a time."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from bench.analyse.account import ARITHMETIC, DATA, MEMORY, OVERHEAD, account
from bench.axes.feeds import FEEDS, Feed
from bench.measure import calibration
from bench.workers import workloads
from fcnn.data import Images, _dataset, load_images
from tests.axes.test_case import changed
from tests.suite.local import run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def calibrated_once():
    """What this machine can do is the same for all of these."""
    timed = calibration.run
    once = functools.cache(lambda device, threads, precisions: timed(device, threads, set(precisions)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "run", lambda *asked: once(*asked[:2], frozenset(asked[2])))
        yield


def many_images(count: int) -> Images:
    """Random pixels; whether they can be learnt is of no matter here."""
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
    dataset = _dataset(pixels, torch.arange(count) % 10)
    return Images("made-up", f"{count:,} made-up images", dataset, dataset, "0" * 64)


def account_of(case: Any, images: Images, folder: Path) -> Any:
    """By the way of every number: journal, record, account."""
    record = run(images, folder, case).measure()
    found = account(record.measurements[0], record)
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
    found = account_of(changed(workload="epoch", feed="loader", threads=1), images, tmp_path)
    assert found.largest == DATA
    assert found.share(DATA) > 0.5


def test_an_epoch_from_memory_does_not_wait_for_data(mnist_root, tmp_path):
    found = account_of(
        changed(workload="epoch", feed="resident", threads=1), load_images("MNIST", mnist_root), tmp_path
    )
    assert found.largest != DATA


def test_a_step_on_a_large_batch_is_bound_by_the_processor_or_its_memory(tmp_path):
    found = account_of(changed(batch_size=16_384, threads=1), many_images(16_384), tmp_path)
    assert found.largest in (ARITHMETIC, MEMORY)


def test_a_step_on_one_image_is_bound_by_overhead(mnist_root, tmp_path):
    found = account_of(changed(batch_size=1, threads=1), load_images("MNIST", mnist_root), tmp_path)
    assert found.largest == OVERHEAD


def test_python_in_the_step_is_overhead(mnist_root, tmp_path, monkeypatch):
    """The step with nothing to do has it as well."""
    original = workloads.train.train_step

    def sleeping(*args: Any, **options: Any) -> torch.Tensor:
        time.sleep(10e-3)
        return original(*args, **options)

    monkeypatch.setattr(workloads.train, "train_step", sleeping)
    found = account_of(changed(batch_size=64, threads=1), load_images("MNIST", mnist_root), tmp_path)
    assert found.share(OVERHEAD) > 0.5
