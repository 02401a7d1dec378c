"""The commands of a user on a GPU, on whatever images this machine has, and the gate on programs and on records."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gate import against, baseline, check, decide
from bench.gate.decide import PASS
from bench.gate.outcome import ERROR
from bench.gate.paired import Pair
from bench.gate.trees import Trees
from bench.record import store
from bench.record.model import Record
from fcnn.data import embedded_images

pytestmark = pytest.mark.gpu(limit_seconds=150)
ROOT = Path(__file__).parents[2]
STEP = "step[cuda-b64-fp32-device]"
WORDS = ("--workload", "forward", "forward_backward", "optimizer", "step", "epoch", "accuracy", "--device", "cuda",
         "--feed", "resident", "device", "--budget", "0.2", "--epochs", "1", "--seeds", "1")  # fmt: skip


PROGRAM = """
from types import SimpleNamespace

import torch


def make(device, batch_size, seed):
    torch.manual_seed(seed)
    images = torch.randn(batch_size, 784, device=device)
    model = torch.nn.Sequential(torch.nn.Linear(784, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step():
        optimizer.zero_grad()
        loss = model(images).square().mean()
        loss.backward()
        optimizer.step()

    return SimpleNamespace(step=step, model=model, optimizer=optimizer, images_per_step=batch_size)
"""
SLOWER = PROGRAM.replace("loss.backward()", "loss.item(); loss.backward(retain_graph=True); loss.backward()")


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What the command line does in a folder, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=140,
    )


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Of every workload with every feed, as the command without a verb measures it: `run` looks for half a minute more.

    In a process of its own, and in a folder that is no checkout.
    """
    folder = tmp_path_factory.mktemp("run")
    ended = command(folder, *WORDS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [path] = folder.glob("results/*/*/record.json")
    return store.read(path)


def test_every_workload_is_measured_with_every_feed(record):
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


def test_the_gate_counts_and_times_the_program_that_made_the_record(record, tmp_path, monkeypatch):
    """What it says of the time is the machine's, and no failure of the gate; counts are the same on every machine."""
    monkeypatch.setattr(baseline, "SCREENING_PROCESSES", 2)
    monkeypatch.setattr(baseline, "CONFIRMATION_PROCESSES", 0)
    monkeypatch.setattr(baseline, "FEWEST_PROCESSES", 1)
    monkeypatch.setattr(baseline, "candidate_of", lambda root, folder: root)  # which need not be a checkout
    monkeypatch.setattr(against, "judged", lambda record: record)  # whatever was beside it
    (step,) = (m for m in record.measurements if m.id == STEP)
    store.write(dataclasses.replace(record, measurements=[dataclasses.replace(step, flags=[])]), tmp_path)
    request = check.Request(ROOT, "", gates=("counts", "timing"))
    found = {one.gate: one for one in baseline.check_records(request, [tmp_path], everything=True).outcomes}
    print(found)
    assert (found["counts"].case, found["timing"].case) == (STEP, STEP)
    assert found["counts"].verdict == PASS
    assert found["timing"].verdict != ERROR


def test_the_command_fails_a_slower_program_of_the_users_own(tmp_path):
    """Two backward passes in place of one, and a wait: slower by more than any noise."""
    (tmp_path / "training.py").write_text(PROGRAM)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    (tmp_path / "training.py").write_text(SLOWER)
    ended = command(tmp_path, "check", "--program", "training.py", "--device", "cuda", "--gates", "counts", "timing")
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 1
    assert "host_synchronisations" in ended.stdout
    verdicts = dict(re.findall(r"^(counts|timing) +training\.py\[cuda\S* +([A-Z]+)", ended.stdout, re.MULTILINE))
    assert verdicts == {"counts": "FAIL", "timing": "FAIL"}


@pytest.mark.parametrize("accuracy", [False, True], ids=["counts and timing", "a training"])
def test_the_gate_compares_two_programs_on_the_gpu(tmp_path, monkeypatch, accuracy):
    """One tree as both sides, its timing by two pairs; what it says of the time is the machine's."""
    images = embedded_images("the gate's")
    rule = functools.partial(decide.TimingRule, screening_pairs=2)
    monkeypatch.setattr(decide.TimingRule, "confirmation_looks", ())  # two pairs decide nothing
    with check.sides_with(images, tmp_path, Trees(ROOT, ROOT, "0"), whole=accuracy) as of:
        if accuracy:
            with of.candidate.worker() as worker:
                assert check.accuracy_of(worker, 0, 1, "cuda") > 0.5
            return
        counted = [check._count(of, [], *row) for row in check.counted_on("cuda")]
        timed = check.time_case(of, check.timed_on("cuda")[0], rule(cases=2), random.Random(0))
    assert {one.verdict for one in counted} == {PASS}, counted
    assert counted[0].raw["candidate"]["kernels_launched"] > 10
    assert counted[2].raw["candidate"]["host_device_copies"] == 2
    print(timed.verdict, timed.reason)
    pair = Pair(**timed.raw["screening"][0])
    assert pair.device_log_ratio is not None
    assert abs(pair.device_log_ratio) < 1
