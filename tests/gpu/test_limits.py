"""These tests themselves: they run where a kernel does, and no longer than they may."""

import time

import pytest
import torch

from tests.gpu.conftest import why_no_gpu


def test_a_kernel_runs_here():
    assert why_no_gpu() is None
    assert torch.arange(4, device="cuda").sum().item() == 6


@pytest.mark.gpu(limit_seconds=0.2)
@pytest.mark.xfail(raises=TimeoutError, strict=True, reason="its time is up")
def test_one_that_does_not_end_is_ended():
    time.sleep(15)
