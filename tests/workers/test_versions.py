"""What is looked at of an environment: what a training step calls, and not what is only called alike."""

import importlib.metadata
from types import SimpleNamespace

from bench.workers.serve import State
from bench.workers.versions import versions

CALLED = ("numpy", "nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-nccl-cu12", "triton", "torchvision")
BESIDE = ("numpy-typing-compat", "nvidia-ml-py", "torchmetrics", "triton-viz")


def test_packages_that_a_step_calls_are_told_from_those_that_are_called_alike(monkeypatch):
    installed = [SimpleNamespace(metadata={"Name": name}, version="0.planted") for name in CALLED + BESIDE]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: installed)
    told = versions(State())
    assert {name for name, value in told.items() if value == "0.planted"} == set(CALLED)
