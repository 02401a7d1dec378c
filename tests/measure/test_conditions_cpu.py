import pytest

from bench.measure import kernel
from tests.measure.shown import CPU, FINE, condition


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


def test_without_nodes_and_clock_rates_the_reason_is_told(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "SYS", tmp_path / "no sys")
    assert condition("numa_nodes")[0] == f"not known: this system has no {tmp_path / 'no sys/devices/system/node'}"
    assert condition("frequency_governor")[0].startswith("not known: this system shows no clock rates (cpufreq)")
