"""The commands of a user on a GPU, as processes of their own, on whatever images this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record import store
from bench.record.model import Record

pytestmark = pytest.mark.gpu(limit_seconds=100)
STEP = "step[cuda-b64-fp32-device]"


def command(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """What `fcnn-bench` answers."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]])},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def run(*words: object, folder: Path) -> Record:
    """The record of a small run."""
    ended = command(
        "run", "--device", "cuda", "--budget", "0.2", "--epochs", "3", "--seeds", "1", *words, folder=folder
    )
    assert ended.returncode == 0, ended.stderr
    [record] = folder.glob("results/*/*/record.json")
    return store.read(record)


def test_every_workload_is_measured_with_every_feed(tmp_path):
    words = ("--workload", "forward", "forward_backward", "optimizer", "step", "epoch", "accuracy")
    record = run(*words, "--feed", "resident", "device", folder=tmp_path)
    assert not [gap.reason for gap in record.unmeasured if gap.kind == "failed"]
    found = {m.id: m for m in record.measurements}
    assert {"epoch[cuda-b64-fp32]", "epoch[cuda-b64-fp32-device]", "accuracy[cuda-b64-fp32]"} <= set(found)
    step = found[STEP]
    assert step.device_samples_seconds
    assert step.counters.kernels_launched > 10
    assert step.counters.host_device_copies == 0
    assert found["step[cuda-b64-fp32]"].counters.host_device_copies == 2
    # The device cannot have worked for longer than its block took.
    pairs = zip(step.device_samples_seconds, step.samples_seconds, strict=True)
    assert all(device <= 1.05 * host for device, host in pairs)


def test_the_gate_passes_the_program_that_made_the_record(tmp_path):
    run("--workload", "step", "--feed", "device", folder=tmp_path)
    [record] = tmp_path.glob("results/*/*/record.json")
    ended = command("check", "--baseline", record, "--gates", "timing", folder=tmp_path)
    # Inconclusive where the machine has changed; never a failure, of the program or of the harness.
    assert ended.returncode in (0, 5), ended.stdout + ended.stderr
    assert STEP in ended.stdout
