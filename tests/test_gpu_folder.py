"""The time limits of the tests that need a GPU, without one."""

import contextlib
from types import SimpleNamespace

import pytest

from tests.gpu import conftest


def test_the_gpu_is_asked_before_the_time_of_a_test_begins(monkeypatch):
    said = []

    @contextlib.contextmanager
    def limited(config, seconds):
        said.append(f"{seconds:g} s")
        yield
        said.append("over")

    monkeypatch.setattr(conftest, "limited", limited)
    monkeypatch.setattr(conftest, "why_no_gpu", lambda: said.append("asked"))
    marker = pytest.mark.gpu(limit_seconds=0.2).mark
    item = SimpleNamespace(config=None, get_closest_marker=lambda name: marker)
    setup = conftest.pytest_runtest_setup(item)
    next(setup)
    said.append("set up")
    with pytest.raises(StopIteration):
        next(setup)
    assert said == ["60 s", "asked", "over", "0.2 s", "set up", "over"]
