"""What is asked of a process that has just started."""

import dataclasses
import os
import time

import pytest

from bench.record.measurement import StartUp
from bench.workers import start
from bench.workers.cold import use_cache
from bench.workers.images import EMBEDDED
from bench.workers.process import empty_compiler_caches
from tests.axes.test_case import changed


def test_all_compilers_find_a_cache_of_their_own_in_the_folder(tmp_path, monkeypatch):
    for name in empty_compiler_caches(tmp_path):
        monkeypatch.setenv(name, "the user's")
    use_cache(str(tmp_path))
    folders = [os.environ[name] for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")]
    assert all(folder.startswith(str(tmp_path)) for folder in folders)
    assert len(set(folders)) == 2


@pytest.mark.slow
def test_a_process_that_was_not_there_before_trains_to_the_target_or_says_that_it_did_not():
    """From the asking for it on: importing torch is the first that it pays for."""
    workers = start.Workers(EMBEDDED, None)  # not entered: what starts afresh needs no forge
    case = dataclasses.asdict(changed(workload="accuracy", threads=1))
    asked_at = time.monotonic()
    found = StartUp(**workers.afresh("start_up", 300.0, "starting", case=case, asked_at=asked_at))
    parts = (found.import_seconds, found.images_seconds, found.device_seconds, found.first_step_seconds)
    assert min(parts) > 0
    assert found.training_seconds is None or found.training_seconds > 0
    assert sum(parts) + (found.training_seconds or 0.0) < time.monotonic() - asked_at
