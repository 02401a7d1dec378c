import pytest

from bench.measure import cgroup, surroundings
from tests.measure.machines import Load


@pytest.fixture
def load(monkeypatch):
    return Load(monkeypatch)


@pytest.fixture
def nothing_else(monkeypatch, tmp_path):
    """A system that tells of no waiting, no quota and no clock rates."""
    monkeypatch.setattr(surroundings, "_waited_seconds", lambda pid: None)
    monkeypatch.setattr(cgroup, "stopped_seconds", lambda: 0.0)
    monkeypatch.setattr(surroundings, "FREQUENCIES", tmp_path)
