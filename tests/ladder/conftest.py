import dataclasses

import pytest

from bench.gate.accuracy import Reference
from bench.ladder import climb, picture, verb
from tests.data.images import embedded
from tests.ladder.climbing import Machine


@pytest.fixture
def machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    images = embedded()
    monkeypatch.setattr(verb, "images", lambda name, data: images)
    known = Reference(images.name, images.sha256, 1, list(range(100)), [0.93, 0.932] * 50, {})
    monkeypatch.setattr(climb.accuracy, "read_reference", lambda *_: known)
    machine = Machine()
    monkeypatch.setattr(picture, "_svg", lambda *_: "<svg/>")  # the tests of what is shown draw it
    monkeypatch.setattr(climb.settings, "default_threads", lambda: 16)  # all import at once
    monkeypatch.setattr(climb, "Process", machine.process)
    monkeypatch.setattr(climb, "Surroundings", machine.surroundings)
    return machine


@pytest.fixture
def gpu(monkeypatch):
    """Stands for a GPU that has all that its steps need."""
    model = dataclasses.replace(verb.DEVICES["cuda"], why_missing=lambda: None, model=lambda: "Some GPU")
    monkeypatch.setitem(verb.DEVICES, "cuda", model)
    monkeypatch.setattr(verb, "why_unusable", lambda device, **_: device.why_missing())  # or a process would try it
    climbable = [dataclasses.replace(row, why_not=lambda: None) for row in verb.STEPS["cuda"]]
    monkeypatch.setitem(verb.STEPS, "cuda", climbable)
