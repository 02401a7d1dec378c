import itertools
import subprocess
import sys

import pytest

from bench.measure import cgroup, nvml
from bench.measure.sampling import Rule, Samples
from bench.measure.surroundings import OtherLoad, Surroundings, Watch, clock_resolution_seconds
from tests.axes.test_case import changed
from tests.measure.machines import Load, NVMLError, gpu, no_nvml

SAMPLES = Samples([1e-3] * 6, None, 5, 1e-3, 0.1, 16)


@pytest.fixture
def load(monkeypatch):
    return Load(monkeypatch)


def seen(watch: Watch, **case: object):
    return watch.seen(changed(threads=1, **case), SAMPLES, Rule(), None)


def test_the_load_of_others_is_what_is_busy_less_what_is_ones_own(load):
    other = OtherLoad()
    load.pass_time(10, own=8, user=3, system=2)
    assert other.cores() == pytest.approx(0.5)


def test_idling_and_waiting_for_disks_is_no_load_and_what_the_hypervisor_steals_is(load):
    other = OtherLoad()
    load.pass_time(10, own=4, idle=9, iowait=3, steal=4)
    assert other.cores() == pytest.approx(0.4)


def test_guests_are_not_counted_twice(load):
    other = OtherLoad()
    load.pass_time(10, user=5, guest=5)  # Linux has a guest's time in user as well
    assert other.cores() == pytest.approx(0.5)


def test_the_work_of_children_is_ones_own_also_when_they_have_ended(load):
    load.processes.append(dict.fromkeys(load.processes[0], 0.0))
    other = OtherLoad()
    load.pass_time(5, user=4)
    load.processes[1]["user"] += 4
    assert other.cores() == pytest.approx(0)
    child = load.processes.pop()
    load.processes[0]["children_user"] += child["user"]
    load.pass_time(5)
    assert other.cores() == pytest.approx(0)


def test_a_child_that_ends_while_it_is_asked_is_left_out(load):
    load.gone = 1
    other = OtherLoad()
    load.pass_time(10, own=8, user=2)
    assert other.cores() == pytest.approx(0.2)


def test_load_is_never_negative_and_a_short_span_tells_nothing(load):
    other = OtherLoad()
    load.pass_time(0.1, user=1)
    assert other.cores() is None
    load.pass_time(9.9)
    assert other.cores() > 0
    load.processes[0]["user"] += 100  # the two are not read at the same moment
    assert other.cores() == 0


@pytest.mark.slow
def test_a_childs_real_work_is_not_taken_for_the_load_of_others():
    other = OtherLoad()
    before = other._read()[2]
    code = "import time\nwhile time.process_time() < 1: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert other._read()[2] - before >= 0.9  # the kernel counts in hundredths


def test_samples_taken_in_no_time_are_judged_by_what_was_there_while_they_were_prepared(load):
    watch = Watch()
    load.pass_time(2, user=2)
    watch.start()
    load.pass_time(0.05, user=0.05)
    assert seen(watch).others_cores == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("busy", "reason"), [(5, "other processes kept 1.0 cores busy meanwhile"), (0.1, None)])
def test_a_disturbance_is_the_load_of_others(load, busy, reason):
    around = Surroundings()
    load.pass_time(5, user=busy)
    assert around.disturbance() == reason


def test_waiting_for_the_quota_is_a_disturbance(load, monkeypatch):
    stopped = iter([1.0, 2.0])
    monkeypatch.setattr(cgroup, "stopped_seconds", lambda: next(stopped))
    around = Surroundings()
    load.pass_time(2)
    assert around.disturbance() == "the control group made it wait for its quota, 0.5 core-seconds per second"


def test_of_a_gpu_company_and_lowered_clocks_are_a_disturbance_of_what_computes_there(load, monkeypatch):
    gpu(monkeypatch, DeviceGetCurrentClocksEventReasons=0x20, DeviceGetComputeRunningProcesses=["this one", "another"])
    around, beside = Surroundings("cuda"), Surroundings()
    load.pass_time(5)
    reason = around.disturbance()
    assert reason == "1 other process uses the GPU and the GPU has lowered its clocks (NVML reasons 0x20)"
    assert beside.disturbance() is None


def test_the_clocks_step_is_the_smallest_seen():
    ticks = itertools.accumulate(itertools.cycle([0, 0, 3e-6, 0, 1e-6, 2e-6]))
    assert clock_resolution_seconds(lambda: next(ticks)) == pytest.approx(1e-6)


def test_a_clock_of_coarse_steps_is_waited_for():
    readings = itertools.chain.from_iterable(itertools.repeat(second, 7) for second in itertools.count())
    assert clock_resolution_seconds(lambda: next(readings)) == 1


def test_a_gpus_clocks_and_company_are_seen(monkeypatch):
    gpu(
        monkeypatch,
        DeviceGetCurrentClocksEventReasons=0x24,
        DeviceGetComputeRunningProcesses=["this one", "another", "a third"],
    )
    watch = Watch()
    watch.start()
    found = seen(watch, device="cuda")
    assert (found.throttle_reasons, found.gpu_others) == (0x24, 2)


def test_alone_on_the_gpu_whatever_number_the_process_has_there(monkeypatch):
    for processes in ([], ["this one"]):
        gpu(monkeypatch, DeviceGetCurrentClocksEventReasons=0, DeviceGetComputeRunningProcesses=processes)
        watch = Watch()
        watch.start()
        assert seen(watch, device="cuda").gpu_others == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_where_nvml_cannot_tell_there_is_nothing_to_see(monkeypatch, device):
    watch = Watch()
    watch.start()
    for silent in (
        lambda: no_nvml(monkeypatch),
        lambda: gpu(monkeypatch, Init=NVMLError("Driver Not Loaded")),
        lambda: gpu(monkeypatch, DeviceGetComputeRunningProcesses=["this one"]),  # an old one
    ):
        silent()
        found = seen(watch, device=device)
        assert (found.throttle_reasons, found.gpu_others) == (0, 0)


def test_nvml_says_why_it_cannot_tell(monkeypatch):
    no_nvml(monkeypatch)
    with pytest.raises(nvml.NvmlError, match="NVML is not installed"):
        nvml.ask(lambda pynvml, handle: 1)
    gpu(monkeypatch, Init=NVMLError("Driver Not Loaded"))
    with pytest.raises(nvml.NvmlError, match="Driver Not Loaded"):
        nvml.ask(lambda pynvml, handle: 1)
    gpu(monkeypatch)
    assert nvml.ask(lambda pynvml, handle: handle).startswith("GPU-")


def test_graphs_compiled_since_the_start_are_seen(monkeypatch):
    from bench.measure import surroundings

    graphs = iter([3, 5])
    monkeypatch.setattr(surroundings, "graphs_compiled", lambda: next(graphs))
    watch = Watch()
    watch.start()
    assert seen(watch).graphs_compiled == 2
