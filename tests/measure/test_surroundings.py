import os
import subprocess
import sys

import pytest

from bench.measure import cgroup, surroundings
from bench.measure.surroundings import OtherLoad, Surroundings, Watch
from bench.record.model import Beside
from tests.measure.machines import WORKER, gpu, running


def test_the_load_of_others_is_what_is_busy_less_what_is_ones_own(load):
    other = OtherLoad()
    load.pass_time(10, own=8, user=3, system=2)
    assert other.cores() == pytest.approx(0.5)


def test_idling_and_waiting_for_disks_is_no_load_and_what_the_hypervisor_steals_is(load):
    other = OtherLoad()
    load.pass_time(10, own=4, idle=9, iowait=3, steal=4)
    assert other.cores() == pytest.approx(0.4)


@pytest.mark.parametrize(("cores", "expected"), [({0}, 0.1), ({0, 1}, 0.5), ({0, 7}, 0.5)])
def test_load_is_of_the_cores_that_one_may_use_where_their_numbers_tell(load, monkeypatch, cores, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores, raising=False)
    other = OtherLoad()
    load.pass_time(10, own=8, user=5)
    load.second_core["user"] += 4
    assert other.cores() == pytest.approx(expected)


def test_guests_are_not_counted_twice(load):
    other = OtherLoad()
    load.pass_time(10, user=5, guest=5)  # Linux has a guest's time in user as well
    assert other.cores() == pytest.approx(0.5)


def test_the_work_of_children_is_ones_own_also_when_they_have_ended(load):
    child = load.start(7)
    other = OtherLoad()
    load.pass_time(5, user=4)
    child["user"] += 4
    assert other.cores() == pytest.approx(0)
    load.processes[load.here]["children_user"] += load.processes.pop(7)["user"]
    load.pass_time(5)
    assert other.cores() == pytest.approx(0)


def test_a_child_that_ends_while_it_is_asked_is_left_out(load):
    load.gone = {7}
    other = OtherLoad()
    load.pass_time(10, own=8, user=2)
    assert other.cores() == pytest.approx(0.2)


def test_load_is_never_negative_and_a_short_span_tells_nothing(load):
    other = OtherLoad()
    load.pass_time(0.1, user=1)
    assert other.cores() is None
    load.pass_time(9.9)
    assert other.cores() > 0
    load.processes[load.here]["user"] += 100  # the two are not read at the same moment
    assert other.cores() == 0


@pytest.mark.slow
def test_a_childs_real_work_is_not_taken_for_the_load_of_others():
    other = OtherLoad()
    before = other._read()[2]
    code = "import time\nwhile time.process_time() < 1: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert other._read()[2] - before >= 0.9  # the kernel counts in hundredths


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
    gpu(monkeypatch, DeviceGetCurrentClocksEventReasons=0x20, DeviceGetComputeRunningProcesses=running(os.getpid(), 9))
    around, beside = Surroundings("cuda"), Surroundings()
    load.pass_time(5)
    reason = around.disturbance()
    assert reason == "1 other process uses the GPU and the GPU has lowered its clocks (temperature (software))"
    assert beside.disturbance() is None


# A round


def test_a_round_beside_nobody_is_not_disturbed(load, nothing_else):
    watch = Watch(WORKER)
    load.pass_time(0.25, own=0.01, worker=0.24)
    beside, disturbed = watch.seen()
    assert beside == Beside(others_cores=pytest.approx(0, abs=1e-6), stopped_cores=0.0)
    assert disturbed is None


def test_a_round_beside_a_busy_process_is_disturbed(load, nothing_else):
    watch = Watch(WORKER)
    load.pass_time(0.25, worker=0.24, user=0.2)
    beside, disturbed = watch.seen()
    assert beside.others_cores == pytest.approx(0.8)
    assert disturbed == "other processes kept 0.8 cores busy meanwhile"


def test_what_the_hypervisor_steals_disturbs(load, nothing_else):
    watch = Watch(WORKER)
    load.pass_time(0.25, worker=0.1, steal=0.1)
    assert watch.seen()[1] == "other processes kept 0.4 cores busy meanwhile"


def test_a_few_hundredths_of_a_second_may_be_anybodys(load, nothing_else):
    watch = Watch(WORKER)
    load.pass_time(0.1, worker=0.08, user=0.02)  # the kernel counts in hundredths
    beside, disturbed = watch.seen()
    assert beside.others_cores == pytest.approx(0.2)
    assert disturbed is None


def test_a_worker_that_has_gone_is_no_error(nothing_else):
    watch = Watch(2**22 + 1)
    assert watch.seen()[0].others_cores >= 0


def test_waiting_for_the_quota_disturbs_a_round(load, nothing_else, monkeypatch):
    watch = Watch(WORKER)
    monkeypatch.setattr(cgroup, "stopped_seconds", lambda: 0.1)
    load.pass_time(0.25)
    beside, disturbed = watch.seen()
    assert beside.stopped_cores == pytest.approx(0.4)
    assert disturbed == "the control group made it wait for its quota, 0.4 core-seconds per second"


def test_threads_that_wait_for_a_core_and_the_clock_rate_are_noted_and_disturb_nothing(load, monkeypatch, tmp_path):
    monkeypatch.setattr(cgroup, "stopped_seconds", lambda: 0.0)
    waited = iter([1.0, 1.05])
    monkeypatch.setattr(surroundings, "_waited_seconds", lambda pid: next(waited))
    monkeypatch.setattr(surroundings, "FREQUENCIES", tmp_path)
    for cpu, kilohertz in enumerate(("2400000", "2600000", "unknown")):
        folder = tmp_path / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(kilohertz)
    watch = Watch(WORKER)
    load.pass_time(0.25)
    beside, disturbed = watch.seen()
    assert (beside.waited_cores, beside.cpu_hertz) == (pytest.approx(0.2), 2.5e9)
    assert disturbed is None


def test_a_real_process_waits_for_no_time_below_zero():
    waited = surroundings._waited_seconds(os.getpid())
    assert waited is None or waited >= 0
    assert surroundings._waited_seconds(2**22 + 1) is None


# Compile workers


def test_the_work_of_compile_workers_is_no_others_and_disturbs_only_a_case_that_waits(load, monkeypatch, tmp_path):
    monkeypatch.setattr(cgroup, "stopped_seconds", lambda: 0.0)
    monkeypatch.setattr(surroundings, "FREQUENCIES", tmp_path)
    for waited, expected in [(0.0, None), (0.1, "the run's own compile workers kept 1.0 cores busy meanwhile")]:
        readings = iter([0.0, waited])
        monkeypatch.setattr(surroundings, "_waited_seconds", lambda pid, readings=readings: next(readings))
        times = load.start(7, "python", "/torch/_inductor/compile_worker/__main__.py")
        watch = Watch(WORKER)
        times["user"] += 0.25
        load.pass_time(0.25, worker=0.24, user=0.25)
        beside, disturbed = watch.seen()
        assert (beside.others_cores, beside.compile_cores) == (pytest.approx(0, abs=1e-6), pytest.approx(1.0))
        assert disturbed == expected


def test_the_work_of_a_loaders_processes_is_the_cases_own(load, nothing_else):
    times = load.start(7, "python", "-m", "bench.workers.forge")
    watch = Watch(WORKER)
    times["user"] += 0.25
    load.pass_time(0.25, worker=0.24, user=0.25)
    beside, disturbed = watch.seen()
    assert (beside.others_cores, beside.compile_cores, disturbed) == (pytest.approx(0, abs=1e-6), None, None)
