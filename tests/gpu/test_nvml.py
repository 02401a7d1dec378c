"""What NVML tells of a real GPU, whose processes are whose, and what the survey finds there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from bench.axes.case import Case
from bench.axes.devices import DEVICES, try_out
from bench.measure import energy, facts, gpu, nvml, surroundings
from bench.measure.clock import Clock
from bench.measure.device_use import device_use
from bench.measure.surroundings import Watch
from bench.workers import presence, workloads
from fcnn.data import load_images

ROOT = Path(__file__).parents[2]
# What any GPU can be taken to have; boards and drivers that lack one refuse it, and the reason takes its place.
PLAUSIBLE = {"sm_hertz": (1e8, 5e9), "power_watts": (5, 2000), "temperature_celsius": (5, 120)}


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


def test_nvmls_numbers_are_plausible_or_have_a_reason(uuid):
    compute(0.3)
    found = gpu.state(uuid)
    print(found)
    for name, (least, most) in PLAUSIBLE.items():
        assert found.not_known.get(name) or least < getattr(found, name) < most
    assert found.processes or found.not_known["processes"], "by numbers that a container may have changed"
    assert found.held_back_seconds or found.not_known["held_back_seconds"]
    assert set(found.held_back_seconds) <= set(gpu.POLICIES.values())
    assert all(seconds >= 0 for seconds in found.held_back_seconds.values())


def test_the_boards_facts_are_on_the_record(uuid):
    hardware = facts.environment(["cpu", "cuda"])["hardware"]
    assert 1e8 < hardware["cuda_sm_clock_max_hertz"] < 5e9
    assert 10 < hardware["cuda_power_limit_watts"] < 2000
    assert hardware["cuda_mig"] in (True, False) or hardware["cuda_mig"].startswith("not known: ")
    assert hardware["cuda_ecc"] in (True, False) or hardware["cuda_ecc"].startswith("not known: ")


def test_a_round_notes_the_state_of_the_gpu_and_is_not_beside_itself(uuid, monkeypatch):
    compute(0.1)
    now = gpu.state(uuid)
    monkeypatch.setattr(surroundings.gpu, "state", lambda uuid: now)  # others come and go
    beside, _ = Watch(os.getpid(), uuid).seen()
    told = now.processes and (os.getpid() in now.processes or len(now.processes) == 1)
    assert beside.gpu_others == (len(now.processes) - 1 if told else None)
    assert (beside.gpu_sm_hertz, beside.gpu_power_watts) == (now.sm_hertz, now.power_watts)
    assert beside.gpu_held_back_fraction == (0.0 if now.held_back_seconds else None)


# Others use the GPU and the cores as they like meanwhile: whose a process is shows in its environment.
COMPILED = """
import json, os, time, torch
from bench.measure import gpu, nvml, processes, settings
from bench.measure.surroundings import Watch

torch.zeros(1, device="cuda")
uuid = nvml.gpu_uuid()
if {alone}:
    settings.compile_in_process()
watch = Watch(os.getpid(), uuid)
model = torch.compile(torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU()).cuda())
model(torch.ones(16, 64, device="cuda")).sum().item()
end = time.monotonic() + {most_seconds}
while not watch.seen()[0].compile_cores and time.monotonic() < end:
    time.sleep(0.2)
beside, own = watch.seen()[0], processes.own()
listed = gpu.state(uuid).processes or []
print(json.dumps([list(own), [*map(processes.compiles, own)].count(True), listed, beside.compile_cores]))
"""


def compiled(folder: Path, **how: Any) -> tuple[int, list[int], float | None]:
    """Of a process that compiles: how many compilers it has started, and which of its own it takes for others'."""
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder)}
    own, compilers, listed, compile_cores = fresh(COMPILED.format(**how), **cache)
    strangers = [pid for pid in set(listed) - set(own) if cache.items() <= environment(pid).items()]
    return compilers, strangers, compile_cores


def environment(pid: int) -> dict[str, str]:
    """Empty of what has ended, and of what is another user's."""
    try:
        return psutil.Process(pid).environ()
    except psutil.Error:
        return {}


@pytest.mark.gpu(limit_seconds=120)
def test_inductors_processes_are_the_runs_own_on_cpu_and_gpu(tmp_path):
    compilers, strangers, compile_cores = compiled(tmp_path, alone=False, most_seconds=20)
    assert compilers > 0
    assert strangers == []
    assert compile_cores > 0


@pytest.mark.gpu(limit_seconds=120)
def test_a_process_that_compiles_alone_starts_none(tmp_path):
    assert compiled(tmp_path, alone=True, most_seconds=0) == (0, [], None)


def step(mnist_root: Path) -> tuple[Any, Clock]:
    case = Case(device="cuda", feed="device")
    return workloads.step(case, load_images("MNIST", mnist_root)).repeat, Clock(DEVICES["cuda"])


def test_memory_utilisation_and_energy_of_a_step(mnist_root, monkeypatch):
    repeat, clock = step(mnist_root)
    monkeypatch.setattr(energy, "WINDOW_SECONDS", 0.5)
    # A quarter, since a step that was slow beside others may be quick a moment later.
    seconds = min(clock.time_block(repeat, 20).host_seconds / 20 for _ in range(5)) / 4
    found = energy.measure_energy(repeat, clock, seconds)
    if found.reason is None:
        assert 1e-3 < found.joules < 100, "a step takes about a millisecond at about a hundred watts"
        assert (found.host_joules is None) == (found.host_reason is not None)
    else:
        assert "NVML has no energy counter to read: " in found.reason
    use = device_use(repeat, clock, busy=True)
    assert (use.utilisation_reason or "").startswith("not known: ") or 0 <= use.utilisation_fraction <= 1
    assert 0 < use.peak_allocated_bytes <= use.peak_reserved_bytes


def test_the_gpu_works():
    assert try_out("cuda") is None
    assert presence.why_unusable(DEVICES["cuda"]) is None


ASKED = """
import json, os, torch
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
print(json.dumps([listed, os.getpid()]))
"""


def test_a_process_that_only_plans_has_no_context(uuid):
    listed, pid = fresh(ASKED.format(uuid=uuid))
    assert isinstance(listed, list), listed
    assert pid not in listed


HIDDEN = """
import json, torch
from bench.axes.devices import try_out
from bench.workers import survey

survey.hide_gpus(None)
print(json.dumps([torch.cuda.is_available(), torch.backends.cuda.is_built(), try_out("cuda")]))
"""


def test_a_worker_that_is_told_to_sees_no_gpu():
    missing = "no CUDA GPU here among CUDA_VISIBLE_DEVICES= (torch.cuda.is_available() is False)"
    assert fresh(HIDDEN) == [False, True, missing]
