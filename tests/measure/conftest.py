import os

import pytest

from bench.measure import cgroup, kernel, settings, surroundings
from tests.measure.control_groups import ControlGroups
from tests.measure.machines import Load
from tests.measure.shown import Shown


@pytest.fixture
def load(monkeypatch):
    return Load(monkeypatch)


@pytest.fixture
def nothing_else(monkeypatch, tmp_path):
    """A system that tells of no waiting, no quota and no clock rates."""
    monkeypatch.setattr(surroundings, "_waited_seconds", lambda pid: None)
    monkeypatch.setattr(cgroup, "stopped_seconds", lambda: 0.0)
    monkeypatch.setattr(surroundings, "FREQUENCIES", tmp_path)


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Control groups without a quota."""
    (tmp_path / "groups").mkdir()
    made_up = ControlGroups(monkeypatch, tmp_path / "groups")
    made_up.quota("max 100000")
    return made_up


@pytest.fixture
def machine(monkeypatch, tmp_path, groups):
    monkeypatch.setattr(kernel, "PROC", tmp_path / "proc")
    monkeypatch.setattr(kernel, "SYS", tmp_path / "sys")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(settings, "default_threads", lambda: 4)
    monkeypatch.setattr(settings, "usable_cores", lambda: 4)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    return Shown(tmp_path)
