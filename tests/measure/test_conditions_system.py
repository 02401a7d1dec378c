import pytest

from bench.measure import settings
from bench.measure.kernel import Meanwhile
from bench.record.model import Beside
from tests.measure.shown import CPU, FINE, condition


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
