"""What is asked of a process that has just started."""

import dataclasses
import os
import time
from types import SimpleNamespace

import pytest
import torch

from bench.record.measurement import StartUp
from bench.workers import cold, start
from bench.workers.cold import use_cache
from bench.workers.images import EMBEDDED
from bench.workers.process import empty_compiler_caches
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime


def test_all_compilers_find_a_cache_of_their_own_in_the_folder(tmp_path, monkeypatch):
    for name in empty_compiler_caches(tmp_path):
        monkeypatch.setenv(name, "the user's")
    use_cache(str(tmp_path))
    folders = [os.environ[name] for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")]
    assert all(folder.startswith(str(tmp_path)) for folder in folders)
    assert len(set(folders)) == 2


def test_a_context_is_made_within_its_own_time_and_only_by_cuda(monkeypatch):
    time = SimulatedTime()

    def passing(seconds):
        return lambda: setattr(time, "seconds", time.seconds + seconds)

    monkeypatch.setattr(torch.cuda, "init", passing(0.25))
    assert cold._context_seconds(time.clock(torch_name="cuda", synchronize=passing(0.125))) == 0.375
    assert cold._context_seconds(time.clock(synchronize=passing(0.125))) is None


def test_the_context_is_made_before_the_first_operation_whose_clock_waits_for_the_device(monkeypatch):
    done = []

    class Begun(Exception):
        pass

    class Clock(SimpleNamespace):
        def time_block(self, repeat, repetitions):
            raise Begun

    monkeypatch.setattr(cold, "Clock", lambda device: Clock(now=lambda: 0.0))
    monkeypatch.setattr(cold, "resident", lambda images: done.append("images"))
    monkeypatch.setattr(cold, "_context_seconds", lambda clock: done.append("context"))
    case = dataclasses.asdict(changed(workload="accuracy", threads=1))
    with pytest.raises(Begun):
        cold.start_up(SimpleNamespace(images="some"), case, EMBEDDED, None, asked_at=0.0)
    assert done == ["images", "context"]


@pytest.mark.slow
def test_a_process_that_was_not_there_before_trains_to_the_target_or_says_that_it_did_not():
    """From the asking for it on: importing torch is the first that it pays for."""
    workers = start.Workers(EMBEDDED, None)  # not entered: what starts afresh needs no forge
    case = dataclasses.asdict(changed(workload="accuracy", threads=1))
    asked_at = time.monotonic()
    found = StartUp(**workers.afresh("start_up", 300.0, "starting", case=case, asked_at=asked_at))
    parts = (found.import_seconds, found.images_seconds, found.device_seconds, found.first_step_seconds)
    assert min(parts) > 0
    assert found.context_seconds is None
    assert found.training_seconds is None or found.training_seconds > 0
    assert sum(parts) + (found.training_seconds or 0.0) < time.monotonic() - asked_at
