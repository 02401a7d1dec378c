import pytest

from bench.measure.conditions import GPU_CONDITIONS, conditions
from bench.measure.kernel import NOT_WATCHED, Meanwhile
from bench.record.model import Beside
from tests.measure.machines import UUID, NVMLError, gpu, no_nvml
from tests.measure.shown import FINE, QUIET, condition


def board(monkeypatch, **answers):
    """A GPU at rest, but for `answers`."""
    rest = {
        "DeviceGetPersistenceMode": 1,
        "DeviceGetCurrentClocksEventReasons": 0x1,
        "DeviceGetEnforcedPowerLimit": 700_000,
        "DeviceGetPowerManagementDefaultLimit": 700_000,
        "DeviceGetComputeRunningProcesses": ["this one"],
    }
    gpu(monkeypatch, **{**rest, **answers})


def test_a_gpu_at_rest_is_fine(machine, monkeypatch):
    board(monkeypatch)
    looked_at = [c for c in conditions(QUIET, UUID, Meanwhile(0.0, 0)) if c.name in GPU_CONDITIONS]
    assert {c.name: c.state for c in looked_at} == {
        "gpu_persistence_mode": "on",
        "gpu_clocks": "lowered: idle",
        "gpu_power_limit": "700 W",
        "gpu_other_processes": "none",
    }
    assert {(c.effect, c.remedy) for c in looked_at} == {FINE}


@pytest.mark.parametrize(
    ("name", "answers", "state", "remedy"),
    [
        ("gpu_persistence_mode", {"DeviceGetPersistenceMode": 0}, "off", "sudo nvidia-smi --persistence-mode=1"),
        (
            "gpu_clocks",
            {"DeviceGetCurrentClocksEventReasons": 0x244},
            "lowered: power limit, temperature (hardware), NVML reason 0x200",
            "let it cool down, and lift its power limit",
        ),
        (
            "gpu_power_limit",
            {"DeviceGetEnforcedPowerLimit": 350_000},
            "350 W, default 700 W",
            "sudo nvidia-smi --power-limit=700",
        ),
    ],
)
def test_a_gpu_that_is_held_back_disturbs(machine, monkeypatch, name, answers, state, remedy):
    board(monkeypatch, **answers)
    answer = condition(name)
    assert (answer[0], answer[2]) == (state, remedy)
    assert answer[1]


def test_what_the_watch_saw_of_a_gpu_counts(machine, monkeypatch):
    board(monkeypatch)
    seen = Beside(gpu_throttle_reasons=0x20, gpu_others=2)
    assert condition("gpu_clocks", seen)[0] == "lowered: idle, temperature (software)"
    assert condition("gpu_other_processes", seen) == ("2", "kernels wait for those of the others", "end them, or wait")
    assert condition("gpu_other_processes", Beside())[0] == f"not known: {NOT_WATCHED}"
    refused = Beside(gpu_not_known="processes: Insufficient Permissions")
    assert condition("gpu_other_processes", refused)[0] == "not known: processes: Insufficient Permissions"


def test_of_a_gpu_that_nvml_does_not_tell_of_nothing_is_known(machine, monkeypatch):
    no_nvml(monkeypatch)
    states = {c.name: c.state for c in conditions(QUIET, UUID)}
    assert all(states[name].startswith("not known: NVML is not installed") for name in GPU_CONDITIONS)
    board(monkeypatch, DeviceGetPersistenceMode=NVMLError("Not Supported"))
    assert condition("gpu_persistence_mode") == ("not known: Not Supported", *FINE)
