"""The public Python calls."""

import functools
import re
import tomllib
from pathlib import Path

import pytest
import torch

from bench.api import compare, measure

ROOT = Path(__file__).parents[1]


def test_a_callable_is_measured():
    found = measure(lambda: sum(range(1000)), seconds=0.01)
    assert found.summary.time > 0


def test_two_callables_are_compared():
    found = compare(lambda: sum(range(10)), lambda: sum(range(100_000)), seconds=0.01)
    assert found.ratio.value > 10


def test_one_of_several_gpus_is_waited_for_and_has_its_own_events(monkeypatch):
    """Whichever is the current one: on the stream of another, an event would be over at once."""
    did = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            did.append(stream)

        def synchronize(self):
            pass

        def elapsed_time(self, end):
            return 1.0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda number: f"stream of {number}")
    monkeypatch.setattr(torch.cuda, "synchronize", did.append)
    samples = measure(lambda: None, device="cuda:1", seconds=0.01)
    assert set(did) == {1, "stream of 1"}
    assert samples.device_seconds
    with pytest.raises(ValueError, match="cuda:2: there are 2"):
        measure(lambda: None, device="cuda:2")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_what_is_no_length_of_time_is_refused_before_anything_is_called(seconds):
    for call in (measure, lambda step, seconds: compare(step, step, seconds=seconds)):
        with pytest.raises(ValueError, match="more than 0 and finite"):
            call(pytest.fail, seconds=seconds)


def test_what_cannot_be_called_is_named():
    with pytest.raises(TypeError, match="and 5 cannot be called"):
        measure(5)
    with pytest.raises(TypeError, match="and 5 cannot be called"):
        compare(lambda: None, 5)


def test_a_device_of_torchs_is_one_by_its_name():
    assert measure(lambda: None, device=torch.device("cpu"), seconds=0.01).seconds


def test_what_is_printed_is_no_list_of_samples():
    step = functools.partial(sum, range(100))
    assert re.fullmatch(r"Samples\(\d+ blocks, summary=Summary\(.*\), flags: .*\)", repr(measure(step, seconds=0.01)))
    assert re.fullmatch(r"Comparison\(\d+ rounds, ratio=Ratio\(.*\)\)", repr(compare(step, step, seconds=0.01)))


def test_its_types_are_for_who_installs_it():
    """PEP 561: without the marker among its files, a type checker takes all of an installed package for `Any`."""
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    assert "py.typed" in packaged["bench"]
    assert (ROOT / "bench" / "py.typed").is_file()


@pytest.mark.parametrize("device", ["tpu", "xpu", "cuda:x"])
def test_a_device_that_is_not_here_is_refused_with_its_reason(device):
    with pytest.raises(ValueError, match=device):
        compare(lambda: None, lambda: None, device=device)
