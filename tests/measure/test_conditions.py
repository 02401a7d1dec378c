import os

from bench.measure import cgroup, kernel
from bench.measure.conditions import CPU_CONDITIONS, conditions
from bench.measure.kernel import NOT_WATCHED, Meanwhile
from bench.record.model import Beside
from tests.measure.shown import FINE, QUIET, condition


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
    assert states["load_by_other_processes"] == f"not known: {NOT_WATCHED}"
    assert states["swap"] == f"not known: this system has no {tmp_path / 'no proc' / 'meminfo'}"


def test_what_only_a_watch_tells_is_not_known_without_one(machine):
    states = {c.name: c.state for c in conditions(Beside(), None)}
    assert states["hypervisor_steal"] == states["load_by_other_processes"] == f"not known: {NOT_WATCHED}"
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


def test_a_gpu_that_is_not_used_has_no_conditions(machine):
    assert [c.name for c in conditions(QUIET, None)] == list(CPU_CONDITIONS)
