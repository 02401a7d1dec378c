"""What disturbs measurements by the processor, or by the machine below it: one function per condition.

A function returns a condition's state, its effect and its remedy (None and None if it is harmless), or raises
NotKnownError. Each names the page of the kernel's documentation that describes the files that it reads.
"""

from __future__ import annotations

import re

from bench.measure import kernel, surroundings
from bench.measure.kernel import NOT_WATCHED, Answer, NotKnownError, Watched
from bench.text import counted


def frequency_governor(watched: Watched) -> Answer:
    """`admin-guide/pm/cpufreq.rst`."""
    files = [kernel.cpu_folder(cpu) / "cpufreq/scaling_governor" for cpu in sorted(kernel.usable_cpus())]
    if not any(file.exists() for file in files):
        raise NotKnownError("this system shows no clock rates (cpufreq), as most virtual machines do not")
    governors = sorted({kernel.read(file) for file in files})
    if governors == ["performance"]:
        return "performance", None, None
    effect = "the clock rate follows the load, and all times follow the clock rate"
    return ", ".join(governors), effect, "sudo cpupower frequency-set --governor performance"


def turbo(watched: Watched) -> Answer:
    """`admin-guide/pm/intel_pstate.rst` for `no_turbo`, `admin-guide/pm/cpufreq.rst` for `boost`."""
    folder = kernel.SYS / "devices/system/cpu"
    intel, others = folder / "intel_pstate/no_turbo", folder / "cpufreq/boost"
    if not intel.exists() and not others.exists():
        raise NotKnownError("this system shows no switch for it (intel_pstate, cpufreq)")
    file, off = (intel, "1") if intel.exists() else (others, "0")
    if kernel.read(file) == off:
        return "off", None, None
    effect = "the clock rate depends on the temperature and on how many cores are busy"
    return "on", effect, f"echo {off} | sudo tee {file}"


def smt_siblings(watched: Watched) -> Answer:
    """`admin-guide/cputopology.rst`. A hypervisor may show other cores than the machine below it has."""
    usable = kernel.usable_cpus()
    folders = [kernel.cpu_folder(cpu) / "topology" for cpu in usable]
    cores = {frozenset(kernel.cpus(kernel.read(folder / "thread_siblings_list"))) for folder in folders}
    state = f"{counted(len(usable), 'usable CPU')} on {counted(len(cores), 'core')}"
    if unusable := frozenset().union(*cores) - usable:
        state += f", with siblings that are not usable ({kernel.listed(unusable)})"
        return state, "work of others on the same core slows this process", "use whole cores, or switch SMT off"
    if len(usable) == len(cores):
        return state, None, None
    one_per_core = kernel.listed(min(core) for core in cores)
    return state, "two threads on one core slow each other", f"taskset --cpu-list {one_per_core} fcnn-bench ..."


def numa_nodes(watched: Watched) -> Answer:
    """`ABI/stable/sysfs-devices-node`, and `admin-guide/mm/numa_memory_policy.rst` for where memory comes from."""
    folder, usable = kernel.SYS / "devices/system/node", kernel.usable_cpus()
    files = {int(file.parent.name.removeprefix("node")): file for file in folder.glob("node[0-9]*/cpulist")}
    if not files:
        raise NotKnownError(f"this system has no {folder}")
    used = sorted(node for node, file in files.items() if usable & kernel.cpus(kernel.read(file)))
    if len(used) < 2:
        return str(len(files)) if len(files) == 1 else f"{len(files)}, usable CPUs on one", None, None
    effect = "memory of another node is slower, and how much of it a process uses is chance"
    remedy = f"numactl --cpunodebind={used[0]} --membind={used[0]} fcnn-bench ..."
    return f"{len(files)}, usable CPUs on {len(used)}", effect, remedy


def virtual_machine(watched: Watched) -> Answer:
    """Of x86, `arch/x86/cpuinfo.rst` for flags, here `hypervisor`; `power/powercap/powercap.rst` for RAPL."""
    flags = re.search(r"^flags\s*:(.*)", kernel.read(kernel.PROC / "cpuinfo"), re.MULTILINE)
    if not flags:
        raise NotKnownError(f"{kernel.PROC / 'cpuinfo'} has no line of flags, as on Arm")
    if "hypervisor" not in flags[1].split():
        return "no", None, None
    counters = {"cpufreq": "devices/system/cpu/cpu[0-9]*/cpufreq", "RAPL energy": "class/powercap/intel-rapl:*"}
    missing = [name for name, pattern in counters.items() if not any(kernel.SYS.glob(pattern))]
    effect = "a busy neighbour on the same core makes samples longer, and no counter shows it" + (
        "; the clock rate is not shown either" if "cpufreq" in missing else ""
    )
    remedy = "measure on bare metal, or compare within one run only and repeat it at another hour"
    return f"yes, without {' and '.join(missing)}" if missing else "yes", effect, remedy


def hypervisor_steal(watched: Watched) -> Answer:
    """`filesystems/proc.rst`, the column `steal` of `/proc/stat`."""
    stolen = watched.meanwhile.stolen_cores
    if stolen is None:
        kernel.read(kernel.PROC / "stat")
        raise NotKnownError(NOT_WATCHED)
    if stolen <= surroundings.CONTENDED_CORES:
        return f"{stolen:.2f} cores", None, None
    effect = "other guests ran instead, and samples were longer meanwhile"
    return f"{stolen:.2f} cores", effect, "an instance with CPUs of its own, or another hour"
