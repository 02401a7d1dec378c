"""What of a GPU goes on beside a round."""

from types import SimpleNamespace

import pytest

from bench.measure import nvml, surroundings
from bench.measure.gpu import REASONS
from bench.measure.surroundings import Watch
from tests.measure.machines import UUID, WORKER, NVMLError, gpu, no_nvml, running


def board(monkeypatch, **answers):
    """A GPU at work, on which the worker alone computes, but for `answers`."""
    usual = {
        "DeviceGetClockInfo": 1980,
        "DeviceGetPowerUsage": 118_500,
        "DeviceGetTemperature": 38,
        "DeviceGetCurrentClocksEventReasons": 0,
        "DeviceGetComputeRunningProcesses": running(WORKER),
        "DeviceGetViolationStatus": SimpleNamespace(referenceTime=0, violationTime=0),
    }
    gpu(monkeypatch, **{**usual, **answers})


def test_clocks_power_and_temperature_of_a_gpu_are_noted(load, nothing_else, monkeypatch):
    board(monkeypatch)
    watch = Watch(WORKER, UUID)
    load.pass_time(0.25, worker=0.2)
    beside, disturbed = watch.seen()
    assert (beside.gpu_sm_hertz, beside.gpu_power_watts, beside.gpu_temperature_celsius) == (1.98e9, 118.5, 38.0)
    assert (beside.gpu_others, beside.gpu_held_back_fraction, beside.gpu_not_known) == (0, 0.0, None)
    assert disturbed is None


@pytest.mark.parametrize(
    ("clocks", "watts", "expected"),
    [
        ((1980, 210), (118_500, 24_000), (1.98e9, 118.5)),  # the last turn was the CPU's
        ((210, 1980), (24_000, 118_500), (1.98e9, 118.5)),
        ((1980, NVMLError("No")), (NVMLError("No"), 24_000), (1.98e9, 24.0)),
        ((NVMLError("No"),) * 2, (NVMLError("No"),) * 2, (None, None)),
    ],
)
def test_of_a_rounds_begin_and_end_the_higher_clock_and_power_count(
    load, nothing_else, monkeypatch, clocks, watts, expected
):
    clock, power = iter(clocks), iter(watts)
    board(monkeypatch, DeviceGetClockInfo=lambda _: next(clock), DeviceGetPowerUsage=lambda: next(power))
    watch = Watch(WORKER, UUID)
    load.pass_time(0.25, worker=0.2)
    beside, _ = watch.seen()
    assert (beside.gpu_sm_hertz, beside.gpu_power_watts) == expected


def test_a_gpus_clocks_and_company_disturb(load, nothing_else, monkeypatch):
    for pids, reasons, expected in [
        ([WORKER, 8, 9], 0x2, "2 other processes use the GPU"),
        ([WORKER], 0x24, "the GPU has lowered its clocks (power limit, temperature (software))"),
        ([WORKER], 0x3, None),  # idle and the application's own choice are how a GPU works every day
        ([88], 0, None),  # whatever number the worker has there
    ]:
        board(monkeypatch, DeviceGetCurrentClocksEventReasons=reasons, DeviceGetComputeRunningProcesses=running(*pids))
        watch = Watch(WORKER, UUID)
        load.pass_time(0.25, worker=0.2)
        beside, disturbed = watch.seen()
        assert disturbed == expected
        assert beside.gpu_throttle_reasons == reasons


def test_what_held_a_gpus_clocks_back_meanwhile_counts_though_they_are_back_by_then(load, nothing_else, monkeypatch):
    held_back = {0: 5_000_000_000, 1: 0}  # nanoseconds, of the power limit and of the temperature
    board(
        monkeypatch,
        DeviceGetViolationStatus=lambda policy: SimpleNamespace(violationTime=held_back.get(policy, 0)),
    )
    watch = Watch(WORKER, UUID)
    held_back[0] += 50_000_000
    load.pass_time(0.25, worker=0.2)
    beside, disturbed = watch.seen()
    assert beside.gpu_held_back_fraction == pytest.approx(0.2)
    assert disturbed == "the GPU's clocks were held back 20% of the time (power limit)"


def test_lowered_clocks_do_not_disturb_where_nobody_minds_and_company_does(load, nothing_else, monkeypatch):
    for pids, expected in [([WORKER], None), ([WORKER, 8], "1 other process uses the GPU")]:
        held_back = iter(range(0, 10**12, 10**9))
        board(
            monkeypatch,
            DeviceGetViolationStatus=lambda _, seen=held_back: SimpleNamespace(violationTime=next(seen)),
            DeviceGetCurrentClocksEventReasons=0x4,
            DeviceGetComputeRunningProcesses=running(*pids),
        )
        watch = Watch(WORKER, UUID, clocks=False)
        load.pass_time(0.25, worker=0.2)
        beside, disturbed = watch.seen()
        assert disturbed == expected
        assert beside.gpu_held_back_fraction > 1


def test_the_runs_own_processes_on_the_gpu_are_no_company(load, nothing_else, monkeypatch):
    load.start(7, "python", "/torch/_inductor/compile_worker/__main__.py")
    load.session.add(8)  # its parent has ended
    board(monkeypatch, DeviceGetComputeRunningProcesses=running(WORKER, 7, 8))
    watch = Watch(WORKER, UUID)
    load.pass_time(0.25, worker=0.2)
    assert watch.seen()[0].gpu_others == 0


def test_what_nvml_does_not_tell_is_not_known_with_the_reason(load, nothing_else, monkeypatch):
    board(monkeypatch, DeviceGetComputeRunningProcesses=NVMLError("Insufficient Permissions"))
    watch = Watch(WORKER, UUID)
    load.pass_time(0.25)
    beside, disturbed = watch.seen()
    assert (beside.gpu_others, disturbed) == (None, None)
    assert beside.gpu_not_known == "processes: Insufficient Permissions"
    board(monkeypatch, DeviceGetComputeRunningProcesses=[])
    beside, _ = Watch(WORKER, UUID).seen()
    assert beside.gpu_others is None
    assert beside.gpu_not_known == "processes: NVML lists no process on the GPU, not even this run's own"


@pytest.mark.parametrize(("listed", "others"), [([88], 0), ([WORKER, 88, 89], 2), ([88, 89], None), ([8, 9, 10], None)])
def test_numbers_of_another_namespace_do_not_tell_ones_own_of_several(load, nothing_else, monkeypatch, listed, others):
    board(monkeypatch, DeviceGetComputeRunningProcesses=running(*listed))
    beside, disturbed = Watch(WORKER, UUID).seen()
    assert beside.gpu_others == others
    assert disturbed == ("2 other processes use the GPU" if others else None)
    reason = "processes on the GPU under numbers of another namespace, which do not tell this run's own"
    expected = None if others is not None else f"processes: NVML lists {len(listed)} {reason}"
    assert beside.gpu_not_known == expected


def test_a_mig_instance_is_found_and_named_where_nvml_refuses(load, nothing_else, monkeypatch):
    gpu(monkeypatch, "MIG", DeviceGetComputeRunningProcesses=running(WORKER), DeviceGetClockInfo=NVMLError("No"))
    beside, _ = Watch(WORKER, UUID).seen()
    assert beside.gpu_others == 0
    assert "sm_hertz: No; this is a MIG instance, a part of a GPU, of which NVML tells less" in beside.gpu_not_known


@pytest.mark.parametrize("reason", [0x4, 0x8, 0x20, 0x40, 0x80])
def test_clocks_that_are_lowered_for_heat_or_power_are_throttled(reason):
    assert surroundings.throttled(reason | 0x3, 0.0) == f"the GPU has lowered its clocks ({REASONS[reason]})"
    assert surroundings.throttled(0x3, 0.0) is None


def test_where_nvml_cannot_tell_there_is_nothing_to_see(load, nothing_else, monkeypatch):
    for silent in (
        lambda: no_nvml(monkeypatch),
        lambda: gpu(monkeypatch, Init=NVMLError("Driver Not Loaded")),
        lambda: gpu(monkeypatch, DeviceGetComputeRunningProcesses=running(WORKER)),  # an old one
    ):
        silent()
        watch = Watch(WORKER, UUID)
        load.pass_time(0.25)
        beside, disturbed = watch.seen()
        assert disturbed is None
        assert (beside.gpu_throttle_reasons, beside.gpu_sm_hertz, beside.gpu_held_back_fraction) == (None, None, None)
        assert "throttle_reasons: " in beside.gpu_not_known


def test_nvml_says_why_it_cannot_tell(monkeypatch):
    no_nvml(monkeypatch)
    with pytest.raises(nvml.NvmlError, match="NVML is not installed"):
        nvml.ask(lambda pynvml, handle: 1)
    gpu(monkeypatch, Init=NVMLError("Driver Not Loaded"))
    with pytest.raises(nvml.NvmlError, match="Driver Not Loaded"):
        nvml.ask(lambda pynvml, handle: 1)
    gpu(monkeypatch)
    assert nvml.ask(lambda pynvml, handle: handle).startswith("GPU-")
