"""What NVML tells of a real GPU, whose processes are whose, and what the survey finds there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.axes.case import Case
from bench.axes.devices import DEVICES, try_out
from bench.measure import facts, gpu, nvml, processes
from bench.measure.clock import Clock
from bench.measure.device_use import device_use
from bench.measure.energy import measure_energy
from bench.measure.surroundings import Watch
from bench.workers import presence, workloads
from fcnn.data import load_images

ROOT = Path(__file__).parents[2]
KNOWN = ("sm_hertz", "power_watts", "temperature_celsius", "throttle_reasons", "processes", "held_back_seconds")


@pytest.fixture
def uuid() -> str:
    """The GPU's, with a context of this process on it."""
    torch.zeros(1, device="cuda")
    return nvml.gpu_uuid()


def compute(seconds: float) -> None:
    """Keeps the GPU busy."""
    ones = torch.ones(1024, 1024, device="cuda")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ones @ ones
        torch.cuda.synchronize()


def fresh(code: str, **environment: str) -> Any:
    """What Python code prints as JSON, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_nvmls_numbers_are_there_and_plausible(uuid):
    compute(0.3)
    found = gpu.state(uuid)
    assert not found.not_known, "an instance of MIG, or a driver that tells less: what is refused is said"
    assert 1e8 < found.sm_hertz < 5e9
    assert 5 < found.power_watts < 2000
    assert 5 < found.temperature_celsius < 120
    assert os.getpid() in found.processes or found.processes, "a container may show other numbers"
    assert set(found.held_back_seconds) <= set(gpu.POLICIES.values())
    assert all(seconds >= 0 for seconds in found.held_back_seconds.values())


def test_the_boards_facts_are_on_the_record(uuid):
    hardware = facts.environment(["cpu", "cuda"])["hardware"]
    assert 1e8 < hardware["cuda_sm_clock_max_hertz"] < 5e9
    assert 10 < hardware["cuda_power_limit_watts"] < 2000
    assert hardware["cuda_mig"] in (True, False) or hardware["cuda_mig"].startswith("not known: ")
    assert hardware["cuda_ecc"] in (True, False) or hardware["cuda_ecc"].startswith("not known: ")


def test_a_round_notes_clocks_and_is_not_beside_itself(uuid):
    compute(0.1)
    watch = Watch(os.getpid(), uuid)
    compute(0.5)
    beside, _ = watch.seen()
    assert beside.gpu_sm_hertz > 5e8, "under work, clocks are up"
    assert 0 <= beside.gpu_held_back_fraction <= 1.05
    assert beside.gpu_not_known is None
    mine = len(gpu.state(uuid).processes)
    assert beside.gpu_others == mine - 1


COMPILED = """
import json, os, time, torch
from bench.measure import gpu, nvml, processes, settings
from bench.measure.surroundings import Watch

torch.zeros(1, device="cuda")
uuid = nvml.gpu_uuid()
before = gpu.others(gpu.state(uuid), processes.own())[0]
if {alone}:
    settings.compile_in_process()
watch = Watch(os.getpid(), uuid)
model = torch.compile(torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU()).cuda())
model(torch.ones(16, 64, device="cuda")).sum().item()
time.sleep({wait})
beside, disturbed = watch.seen()
own = processes.own()
compilers = [pid for pid in own if processes.compiles(pid)]
after = gpu.others(gpu.state(uuid), own)[0]
print(json.dumps([before, after, len(compilers), beside.compile_cores, beside.others_cores]))
"""


@pytest.mark.gpu(limit_seconds=120)
def test_inductors_processes_are_the_runs_own_on_cpu_and_gpu(tmp_path):
    before, after, compilers, compile_cores, others_cores = fresh(
        COMPILED.format(alone=False, wait=5), TORCHINDUCTOR_CACHE_DIR=str(tmp_path)
    )
    assert compilers > 0
    assert after == before
    assert compile_cores > 0.1
    assert others_cores < 0.5 + compile_cores, "unless others are busy"


@pytest.mark.gpu(limit_seconds=120)
def test_a_process_that_compiles_alone_starts_none(tmp_path):
    before, after, compilers, compile_cores, _ = fresh(
        COMPILED.format(alone=True, wait=0), TORCHINDUCTOR_CACHE_DIR=str(tmp_path)
    )
    assert (after, compilers, compile_cores) == (before, 0, None)


def step(mnist_root: Path) -> tuple[Any, Clock]:
    case = Case("step", "cuda", 64, "fp32", "off", "adam", "device", threads=1)
    return workloads.step(case, load_images("MNIST", mnist_root)).repeat, Clock(DEVICES["cuda"])


def test_memory_utilisation_and_energy_of_a_step(mnist_root):
    repeat, clock = step(mnist_root)
    seconds = min(clock.time_block(repeat, 20).host_seconds / 20 for _ in range(5))
    found = measure_energy(repeat, clock, seconds)
    assert found.reason is None
    assert 1e-3 < found.joules < 100, "a step takes about a millisecond at about a hundred watts"
    assert (found.host_joules is None) == (found.host_reason is not None)
    use = device_use(repeat, clock, busy=True)
    assert use.utilisation_reason is None
    assert 0 <= use.utilisation_fraction <= 1
    assert 0 < use.peak_allocated_bytes <= use.peak_reserved_bytes


def test_the_gpu_works_and_without_it_in_sight_it_is_missing():
    assert try_out("cuda") is None
    assert presence.why_unusable(DEVICES["cuda"]) is None
    code = "import json\nfrom bench.axes.devices import try_out\nprint(json.dumps(try_out('cuda')))"
    hidden = fresh(code, CUDA_VISIBLE_DEVICES="")
    assert hidden == "no CUDA GPU here among CUDA_VISIBLE_DEVICES= (torch.cuda.is_available() is False)"


ASKED = """
import json, torch
from bench.axes import matrix
from bench.axes.devices import DEVICES
from bench.measure import facts, nvml

DEVICES["cuda"].why_missing()
matrix.devices_here()
facts.machine()
try:
    listed = nvml.ask(lambda p, gpu: [q.pid for q in p.nvmlDeviceGetComputeRunningProcesses(gpu)], {uuid!r})
except nvml.NvmlError as error:
    listed = str(error)
import os
print(json.dumps([listed, os.getpid()]))
"""


def test_a_process_that_only_plans_has_no_context(uuid):
    before = len(gpu.state(uuid).processes)
    listed, pid = fresh(ASKED.format(uuid=uuid))
    assert pid not in listed
    assert len(listed) <= before


HIDDEN = """
import json, torch
from bench.workers import survey

survey.hide_gpus(None)
print(json.dumps([torch.cuda.is_available(), torch.backends.cuda.is_built()]))
"""


def test_a_worker_that_is_told_to_sees_no_gpu():
    assert fresh(HIDDEN) == [False, True]


def test_the_own_process_is_listed_among_the_trees(uuid):
    assert os.getpid() in processes.own()
    assert not set(gpu.state(uuid).not_known) & set(KNOWN)
