import os
from types import SimpleNamespace

import pytest

from bench.measure import cgroup, kernel, settings
from bench.measure.conditions import CPU_CONDITIONS, GPU_CONDITIONS, conditions
from bench.measure.kernel import KernelWatch, Meanwhile
from bench.record.model import Beside
from tests.measure.control_groups import ControlGroups
from tests.measure.machines import UUID, NVMLError, gpu, no_nvml

FINE = None, None
CPU = "sys/devices/system/cpu"


class Machine:
    """Files below `/proc` and `/sys` as a quiet machine of four CPUs with a core each has them."""

    def __init__(self, folder):
        self.folder = folder
        for cpu in range(4):
            self.write(f"{CPU}/cpu{cpu}/cpufreq/scaling_governor", "performance")
            self.siblings(cpu, str(cpu))
        self.write(f"{CPU}/cpufreq/boost", "0")
        self.write("sys/devices/system/node/node0/cpulist", "0-3")
        self.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
        self.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme hypervisors\n")
        self.write("proc/meminfo", "MemTotal: 9 kB\nSwapTotal:  8388608 kB\nSwapFree:   8388608 kB\n")
        self.write("proc/self/personality", "00000000")
        self.write("proc/sys/kernel/randomize_va_space", "2")
        self.counts(stolen_ticks=50, swapped_in=1, swapped_out=2)

    def path(self, name):
        return self.folder / name

    def write(self, name, text):
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(f"{text}\n")

    def siblings(self, cpu, text):
        self.write(f"{CPU}/cpu{cpu}/topology/thread_siblings_list", text)

    def counts(self, stolen_ticks, swapped_in, swapped_out):
        self.write("proc/stat", f"cpu  11 12 13 14 15 16 17 {stolen_ticks} 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0")
        self.write("proc/vmstat", f"nr_free_pages 7\npswpin {swapped_in}\npswpout {swapped_out}")


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Control groups without a quota."""
    (tmp_path / "groups").mkdir()
    made_up = ControlGroups(monkeypatch, tmp_path / "groups")
    made_up.quota("max 100000")
    return made_up


@pytest.fixture
def machine(monkeypatch, tmp_path, groups):
    monkeypatch.setattr(kernel, "PROC", tmp_path / "proc")
    monkeypatch.setattr(kernel, "SYS", tmp_path / "sys")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(settings, "default_threads", lambda: 4)
    monkeypatch.setattr(settings, "usable_cores", lambda: 4)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    return Machine(tmp_path)


QUIET = Beside(others_cores=0.06, stopped_cores=0.0, gpu_throttle_reasons=0, gpu_others=0)


def condition(name, beside=QUIET, meanwhile=Meanwhile(0.01, 0)):
    """State, effect and remedy of one."""
    (answer,) = (c for c in conditions(beside, UUID if name in GPU_CONDITIONS else None, meanwhile) if c.name == name)
    return answer.state, answer.effect, answer.remedy


def test_on_a_quiet_machine_everything_is_fine(machine):
    looked_at = conditions(QUIET, None, Meanwhile(0.01, 0))
    assert {c.name: c.state for c in looked_at} == {
        "frequency_governor": "performance",
        "turbo": "off",
        "smt_siblings": "4 usable CPUs on 4 cores",
        "numa_nodes": "1",
        "virtual_machine": "no",
        "hypervisor_steal": "0.01 cores",
        "load_by_other_processes": "0.05 cores",
        "control_group_quota": "none",
        "swap": "0.0 of 8.0 GiB in use",
        "openmp_threads": "4 on 4 usable cores",
        "thread_spinning": "default of the OpenMP runtime",
        "transparent_huge_pages": "madvise",
        "address_randomization": "on",
    }
    assert {(c.effect, c.remedy, c.known) for c in looked_at} == {(None, None, True)}


def test_where_the_system_does_not_tell_the_reason_is_the_state(monkeypatch, tmp_path, machine):
    monkeypatch.setattr(kernel, "PROC", tmp_path / "no proc")
    monkeypatch.setattr(kernel, "SYS", tmp_path / "no sys")
    monkeypatch.setattr(cgroup, "PROCESS", tmp_path / "no proc")
    monkeypatch.delattr(os, "sched_getaffinity")
    looked_at = conditions(Beside(), None)
    assert list(looked_at) == [c for c in looked_at if (c.effect, c.remedy) == FINE]
    states = {c.name: c.state for c in looked_at}
    assert {name for name, state in states.items() if not state.startswith("not known: ")} == {
        "openmp_threads",
        "thread_spinning",
    }
    assert states["frequency_governor"] == "not known: this system does not tell which CPUs this process may use"
    assert states["turbo"] == "not known: this system shows no switch for it (intel_pstate, cpufreq)"
    assert states["load_by_other_processes"] == "not known: not watched"
    assert states["swap"] == f"not known: this system has no {tmp_path / 'no proc' / 'meminfo'}"


def test_what_only_a_watch_tells_is_not_known_without_one(machine):
    states = {c.name: c.state for c in conditions(Beside(), None)}
    assert states["hypervisor_steal"] == states["load_by_other_processes"] == "not known: not watched"
    assert states["control_group_quota"] == "none"


def test_a_file_that_cannot_be_read_or_understood_is_not_known(machine):
    machine.write("proc/sys/kernel/randomize_va_space", "perhaps")
    assert condition("address_randomization")[0].startswith("not known: the system's answer cannot be understood (inv")
    machine.path("proc/meminfo").unlink()
    machine.path("proc/meminfo").mkdir()
    state, *rest = condition("swap")
    assert state.startswith(f"not known: {machine.path('proc/meminfo')} cannot be read: ")
    assert tuple(rest) == FINE
    machine.write("sys/kernel/mm/transparent_hugepage/enabled", "")
    assert condition("transparent_huge_pages")[0].endswith("enabled names no mode")


def test_any_governor_but_performance_follows_the_load(machine):
    machine.write(f"{CPU}/cpu2/cpufreq/scaling_governor", "schedutil")
    state, effect, remedy = condition("frequency_governor")
    assert state == "performance, schedutil"
    assert effect.startswith("the clock rate follows the load")
    assert remedy == "sudo cpupower frequency-set --governor performance"


def test_governors_of_cpus_that_are_not_usable_do_not_matter(machine):
    machine.write(f"{CPU}/cpu9/cpufreq/scaling_governor", "powersave")
    assert condition("frequency_governor") == ("performance", *FINE)


@pytest.mark.parametrize(
    ("files", "state", "off"),
    [
        ({"cpufreq/boost": "1"}, "on", "echo 0 | sudo tee {}/cpufreq/boost"),
        ({"intel_pstate/no_turbo": "0"}, "on", "echo 1 | sudo tee {}/intel_pstate/no_turbo"),
        ({"intel_pstate/no_turbo": "1"}, "off", None),
    ],
)
def test_turbo_is_read_where_the_driver_has_its_switch(machine, files, state, off):
    for name, text in files.items():
        machine.write(f"{CPU}/{name}", text)
    answer, effect, remedy = condition("turbo")
    assert (answer, remedy) == (state, off and off.format(machine.path(CPU)))
    assert (effect is None) == (off is None)


def test_usable_cpus_that_share_a_core_slow_each_other(machine):
    for cpu in range(4):
        machine.siblings(cpu, "0,2" if cpu % 2 == 0 else "1,3")
    state, effect, remedy = condition("smt_siblings")
    assert state == "4 usable CPUs on 2 cores"
    assert effect == "two threads on one core slow each other"
    assert remedy == "taskset --cpu-list 0-1 fcnn-bench ..."


def test_siblings_that_are_not_usable_work_for_others(machine):
    for cpu in range(4):
        machine.siblings(cpu, f"{cpu},{cpu + 16}")
    state, effect, _ = condition("smt_siblings")
    assert state == "4 usable CPUs on 4 cores, with siblings that are not usable (16-19)"
    assert effect == "work of others on the same core slows this process"


def test_usable_cpus_on_two_numa_nodes_have_near_and_far_memory(machine):
    machine.write("sys/devices/system/node/node0/cpulist", "0-1,8")
    machine.write("sys/devices/system/node/node1/cpulist", "2-3")
    machine.write("sys/devices/system/node/node2/cpulist", "")  # memory alone
    state, effect, remedy = condition("numa_nodes")
    assert state == "3, usable CPUs on 2"
    assert effect.startswith("memory of another node is slower")
    assert remedy == "numactl --cpunodebind=0 --membind=0 fcnn-bench ..."
    machine.write("sys/devices/system/node/node0/cpulist", "0-3")
    machine.write("sys/devices/system/node/node1/cpulist", "4-7")
    assert condition("numa_nodes") == ("3, usable CPUs on one", *FINE)


def test_in_a_virtual_machine_neighbours_show_nowhere(machine):
    machine.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor vme\n")
    state, effect, _ = condition("virtual_machine")
    assert state == "yes, without RAPL energy"
    assert effect == "a busy neighbour on the same core makes samples longer, and no counter shows it"
    for cpu in range(4):
        machine.path(f"{CPU}/cpu{cpu}/cpufreq/scaling_governor").unlink()
        machine.path(f"{CPU}/cpu{cpu}/cpufreq").rmdir()
    state, effect, remedy = condition("virtual_machine")
    assert state == "yes, without cpufreq and RAPL energy"
    assert effect.endswith("; the clock rate is not shown either")
    assert remedy.startswith("measure on bare metal")
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0")
    assert condition("virtual_machine")[0] == "yes, without cpufreq"


def test_arm_has_no_flag_for_a_hypervisor(machine):
    machine.write("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n")
    assert condition("virtual_machine")[0].endswith("has no line of flags, as on Arm")


def test_what_the_hypervisor_steals_is_no_load_of_other_processes(machine):
    beside = Beside(others_cores=0.75)
    state, effect, remedy = condition("hypervisor_steal", beside, Meanwhile(stolen_cores=0.7))
    assert (state, effect) == ("0.70 cores", "other guests ran instead, and samples were longer meanwhile")
    assert remedy
    assert condition("load_by_other_processes", beside, Meanwhile(stolen_cores=0.7)) == ("0.05 cores", *FINE)
    state, _, remedy = condition("load_by_other_processes", beside, Meanwhile())
    assert (state, remedy) == ("0.75 cores", "end them, or wait")


@pytest.mark.parametrize(
    ("quota", "stopped", "state", "remedy"),
    [
        ("150000 100000", None, "1.5 cores", "use at most 1 thread, or raise the quota"),
        ("250000 100000", 0.0, "2.5 cores, stopped no thread", "use at most 2 threads, or raise the quota"),
        ("400000 100000", 0.0, "4 cores, stopped no thread", None),
        (
            "400000 100000",
            0.3,
            "4 cores, stopped threads for 0.3 s per second",
            "use at most 4 threads, or raise the quota",
        ),
    ],
)
def test_a_quota_disturbs_if_it_stops_threads_or_can(machine, groups, quota, stopped, state, remedy):
    groups.quota(quota)
    answer = condition("control_group_quota", Beside(stopped_cores=stopped))
    assert (answer[0], answer[2]) == (state, remedy)
    assert (answer[1] is None) == (remedy is None)


def test_swap_disturbs_by_what_lies_there_and_more_by_what_moves(machine):
    machine.write("proc/meminfo", "SwapCached: 0 kB\nSwapTotal:  8388608 kB\nSwapFree:   7340032 kB\n")
    state, effect, remedy = condition("swap")
    assert (state, remedy) == ("1.0 of 8.0 GiB in use", "sudo swapoff --all")
    assert effect.endswith("when it is first used")
    state, effect, _ = condition("swap", meanwhile=Meanwhile(swapped_pages=1200))
    assert state == "1.0 of 8.0 GiB in use, 1,200 pages swapped meanwhile"
    assert effect.endswith("within timed blocks")


def test_without_swap_or_word_of_it(machine):
    machine.write("proc/meminfo", "SwapTotal:  0 kB\nSwapFree:   0 kB\n")
    assert condition("swap") == ("none", *FINE)
    machine.write("proc/meminfo", "MemTotal: 9 kB\n")
    assert condition("swap") == (f"not known: {machine.path('proc/meminfo')} does not tell", *FINE)


def test_more_threads_than_cores_wait_for_each_other(machine, monkeypatch):
    monkeypatch.setattr(settings, "default_threads", lambda: 9)
    state, effect, remedy = condition("openmp_threads")
    assert (state, remedy) == ("9 on 4 usable cores", "OMP_NUM_THREADS=4")
    assert effect.startswith("threads wait for each other")


@pytest.mark.parametrize(
    ("values", "effect"),
    [
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "threads sleep between operators"),
        ({"GOMP_SPINCOUNT": "0"}, "threads sleep between operators"),
        ({"OMP_WAIT_POLICY": "active", "KMP_BLOCKTIME": "infinite"}, "threads without work keep cores busy"),
        ({"KMP_BLOCKTIME": "200"}, None),
    ],
)
def test_how_threads_wait_is_as_it_is_set(machine, monkeypatch, values, effect):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    state, answer, remedy = condition("thread_spinning")
    assert state == ", ".join(f"{name}={value}" for name, value in values.items())
    assert (answer or "").startswith(effect or "")
    assert remedy == (f"unset {' '.join(values)}" if effect else None)


def test_huge_pages_for_all_differ_between_processes(machine):
    machine.write("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never")
    state, effect, remedy = condition("transparent_huge_pages")
    assert state == "always"
    assert effect.endswith("differs between processes")
    assert remedy == f"echo madvise | sudo tee {machine.path('sys/kernel/mm/transparent_hugepage/enabled')}"


@pytest.mark.parametrize(
    ("level", "personality", "state", "remedy"),
    [
        ("0", "00000000", "off", "sudo sysctl kernel.randomize_va_space=2"),
        ("1", "00000000", "on, but for the heap", None),
        ("2", "00040000", "off for this process", "start it without setarch --addr-no-randomize"),
    ],
)
def test_without_randomization_all_processes_have_one_layout(machine, level, personality, state, remedy):
    machine.write("proc/sys/kernel/randomize_va_space", level)
    machine.write("proc/self/personality", personality)
    answer = condition("address_randomization")
    assert (answer[0], answer[2]) == (state, remedy)
    assert (answer[1] is None) == (remedy is None)


def test_the_kernels_counts_are_watched(machine, monkeypatch):
    now = iter([100.0, 102.0])
    monkeypatch.setattr(kernel, "time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name], raising=False)
    watch = KernelWatch()
    machine.counts(stolen_ticks=150, swapped_in=8, swapped_out=2)
    assert watch.seen() == Meanwhile(stolen_cores=0.5, swapped_pages=7)


@pytest.mark.parametrize("broken", [lambda path: path.unlink(), lambda path: path.write_text("cpu 1 2\n")])
def test_counts_that_are_not_there_are_none(machine, broken):
    whole = KernelWatch()
    broken(machine.path("proc/stat"))
    broken(machine.path("proc/vmstat"))
    assert KernelWatch().seen() == whole.seen() == Meanwhile(None, None)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3,8", {0, 1, 2, 3, 8}), ("5", {5}), ("0,2,4-5", {0, 2, 4, 5}), ("", set())]
)
def test_lists_of_cpus_are_read_and_written_as_the_kernel_does(text, numbers):
    assert kernel.cpus(text) == numbers
    assert kernel.listed(numbers) == text


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
    assert condition("gpu_other_processes", Beside())[0] == "not known: not watched"
    refused = Beside(gpu_not_known="processes: Insufficient Permissions")
    assert condition("gpu_other_processes", refused)[0] == "not known: processes: Insufficient Permissions"


def test_of_a_gpu_that_nvml_does_not_tell_of_nothing_is_known(machine, monkeypatch):
    no_nvml(monkeypatch)
    states = {c.name: c.state for c in conditions(QUIET, UUID)}
    assert all(states[name].startswith("not known: NVML is not installed") for name in GPU_CONDITIONS)
    board(monkeypatch, DeviceGetPersistenceMode=NVMLError("Not Supported"))
    assert condition("gpu_persistence_mode") == ("not known: Not Supported", *FINE)


def test_a_gpu_that_is_not_used_has_no_conditions(machine):
    assert [c.name for c in conditions(QUIET, None)] == list(CPU_CONDITIONS)


def test_without_nodes_and_clock_rates_the_reason_is_told(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "SYS", tmp_path / "no sys")
    assert condition("numa_nodes")[0] == f"not known: this system has no {tmp_path / 'no sys/devices/system/node'}"
    assert condition("frequency_governor")[0].startswith("not known: this system shows no clock rates (cpufreq)")
