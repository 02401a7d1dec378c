from types import SimpleNamespace

import pytest
import torch

from bench.axes.devices import DEVICES
from bench.measure import facts, settings
from tests.measure.machines import UUID, NVMLError, gpu, no_nvml
from tests.measure.simulated import SimulatedTime


@pytest.fixture
def hardware(monkeypatch):
    """Four cores of an Intel processor beside a GPU."""
    time = SimulatedTime()
    processor = time.device(name="cpu", model=lambda: "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz")
    monkeypatch.setitem(DEVICES, "cpu", processor)
    monkeypatch.setitem(DEVICES, "cuda", time.device(name="cuda", model=lambda: "NVIDIA H100 80GB HBM3"))
    monkeypatch.setattr(settings, "usable_cores", lambda: 4)


@pytest.fixture
def cuda(monkeypatch):
    """What torch says of a GPU."""
    properties = SimpleNamespace(uuid=UUID, major=9, minor=0, multi_processor_count=132, total_memory=85 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def found(**answers):
        gpu(monkeypatch, **answers)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)

    return found


def test_a_machine_is_named_by_its_kind(hardware):
    both = facts.machine()  # whatever is measured on it
    assert both.slug == "nvidia-h100-80gb-hbm3-intel-xeon-platinum-8481c-4c"
    assert both.label == "NVIDIA H100 80GB HBM3 with Intel Xeon Platinum 8481C, 4 cores"


def test_what_is_not_here_does_not_name_the_machine(hardware, monkeypatch):
    missing = SimulatedTime().device(name="cuda", why_missing=lambda: "no CUDA GPU here")
    monkeypatch.setitem(DEVICES, "cuda", missing)
    monkeypatch.setattr(settings, "usable_cores", lambda: 1)
    assert facts.machine().slug == "intel-xeon-platinum-8481c-1c"
    assert facts.machine().label == "Intel Xeon Platinum 8481C, 1 core"
    assert facts.environment(["cpu", "cuda"])["hardware"]["cuda"] == "none: no CUDA GPU here"


@pytest.mark.parametrize("error", [RuntimeError, torch.cuda.DeferredCudaCallError])
def test_a_gpu_that_does_not_even_tell_its_name_costs_the_machine_none(hardware, monkeypatch, error):
    def fail():
        raise error("CUDA error")

    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda", model=fail))
    assert facts.machine().label == "Intel Xeon Platinum 8481C, 4 cores"


def test_a_gpu_is_described_with_its_driver(hardware, cuda):
    cuda(
        SystemGetDriverVersion="580.65.06",
        DeviceGetMaxClockInfo=lambda kind: {1: 1980, 2: 2619}[kind],
        DeviceGetEnforcedPowerLimit=700_000,
        DeviceGetMigMode=[0, 0],
        DeviceGetEccMode=NVMLError("Not Supported"),
    )
    found = facts.environment(["cpu", "cuda"])
    assert found["software"]["nvidia_driver"] == "580.65.06"
    hardware_facts = {name: found["hardware"][name] for name in found["hardware"] if name.startswith("cuda")}
    assert hardware_facts == {
        "cuda": "NVIDIA H100 80GB HBM3",
        "cuda_compute_capability": "9.0",
        "cuda_multiprocessors": 132,
        "cuda_memory_bytes": 85 * 10**9,
        "cuda_sm_clock_max_hertz": 1.98e9,
        "cuda_memory_clock_max_hertz": 2.619e9,
        "cuda_power_limit_watts": 700.0,
        "cuda_mig": False,
        "cuda_ecc": "not known: Not Supported",
    }


def test_of_several_gpus_the_used_one_and_the_others_are_named(hardware, cuda, monkeypatch):
    cuda()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {'ABC'[number]}")
    found = facts.environment(["cpu", "cuda"])["hardware"]
    assert (found["cuda_visible_gpus"], found["cuda_used"]) == (3, "cuda:0 GPU A")
    assert found["cuda_not_used"] == "cuda:1 GPU B, cuda:2 GPU C"


def test_without_nvml_the_driver_is_unknown_and_all_else_is_there(hardware, cuda, monkeypatch):
    cuda()
    no_nvml(monkeypatch)
    found = facts.environment(["cpu", "cuda"])
    assert found["software"]["nvidia_driver"].startswith("not known: NVML is not installed")
    assert found["hardware"]["cuda_multiprocessors"] == 132


def test_the_environment_names_no_host(hardware):
    import platform

    found = facts.environment(["cpu"])
    assert set(found) == {"hardware", "software", "settings", "conditions"}
    assert platform.node() not in {str(value) for group in found.values() for value in group.values()}


@pytest.mark.parametrize(("limit", "recorded"), [(3 << 30, 3 << 30), (8 << 30, None), (9 << 30, None), (None, None)])
def test_a_limit_of_memory_is_recorded_if_the_machine_has_more(hardware, monkeypatch, limit, recorded):
    monkeypatch.setattr(facts.psutil, "virtual_memory", lambda: SimpleNamespace(total=8 << 30))
    monkeypatch.setattr(facts.cgroup, "memory_limit_bytes", lambda: limit)
    assert facts.environment(["cpu"])["hardware"].get("memory_limit_bytes") == recorded


@pytest.mark.parametrize(
    ("flags", "bf16", "fp16"),
    [
        (["avx512_bf16", "fma"], True, False),
        (["amx_bf16", "avx512_fp16"], True, True),
        (["avx2"], False, False),
        ([], None, None),
    ],
)
def test_number_formats_are_read_off_the_processors_flags(monkeypatch, flags, bf16, fp16):
    monkeypatch.setattr(facts, "cpu_flags", lambda: flags)
    assert (facts.has("bf16"), facts.has("fp16")) == (bf16, fp16)


def test_a_package_that_is_not_installed_has_no_version():
    assert facts.version("no-such-package-anywhere") is None
    assert torch.__version__.startswith(facts.version("torch"))  # which names the build, too
