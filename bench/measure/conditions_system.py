"""What disturbs measurements by the system, its settings and other processes: one function per condition.

A function returns a condition's state, its effect and its remedy (None and None if it is harmless), or raises
NotKnownError. Each names the page of the kernel's documentation that describes the files that it reads.
"""

from __future__ import annotations

import os
import re

from bench.measure import cgroup, kernel, surroundings
from bench.measure.kernel import NOT_WATCHED, Answer, NotKnownError, Watched
from bench.text import counted

NO_RANDOMIZE = 0x40000  # personality(2), ADDR_NO_RANDOMIZE
SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
NEVER_SPINS, ALWAYS_SPINS = {"passive", "0"}, {"active", "infinite", "infinity"}


def load_by_other_processes(watched: Watched) -> Answer:
    """By `bench.measure.surroundings`, less what the hypervisor stole: that is a condition of its own."""
    others = watched.beside.others_cores
    if others is None:
        raise NotKnownError(NOT_WATCHED)
    others = max(0.0, others - (watched.meanwhile.stolen_cores or 0.0))
    if surroundings.contended(others) is None:
        return f"{others:.2f} cores", None, None
    return f"{others:.2f} cores", "others take cores and caches, and samples are longer", "end them, or wait"


def control_group_quota(watched: Watched) -> Answer:
    """`admin-guide/cgroup-v2.rst` and `scheduler/sched-bwc.rst`, by `bench.measure.cgroup`."""
    kernel.read(cgroup.PROCESS / "cgroup")
    quota, stopped = cgroup.quota_cores(), watched.beside.stopped_cores
    if quota is None:
        return "none", None, None
    state = f"{quota:g} cores"
    if stopped is not None:
        # Added up over cores: more than one second per second where several threads wait.
        state += f", stopped threads for {stopped:.2g} s per second" if stopped else ", stopped no thread"
    if (stopped or 0.0) <= surroundings.STOPPED_FRACTION and quota >= len(kernel.usable_cpus()):
        return state, None, None
    effect = "when the quota is used up, all threads stop until its next period"
    return state, effect, f"use at most {counted(max(1, int(quota)), 'thread')}, or raise the quota"


def swap(watched: Watched) -> Answer:
    """`filesystems/proc.rst`, `/proc/meminfo`."""
    file = kernel.PROC / "meminfo"
    kibibytes = dict(re.findall(r"^(Swap\w+):\s*(\d+) kB", kernel.read(file), re.MULTILINE))
    if not {"SwapTotal", "SwapFree"} <= kibibytes.keys():
        raise NotKnownError(f"{file} does not tell")
    total, free, pages = int(kibibytes["SwapTotal"]), int(kibibytes["SwapFree"]), watched.meanwhile.swapped_pages
    if not total:
        return "none", None, None
    state = f"{(total - free) / 2**20:.1f} of {total / 2**20:.1f} GiB in use"
    if pages:
        effect = "memory comes back from the disk within timed blocks"
        return f"{state}, {counted(pages, 'page')} swapped meanwhile", effect, "end what needs the memory"
    if free == total:
        return state, None, None
    return state, "swapped memory comes back from the disk when it is first used", "sudo swapoff --all"


def openmp_threads(watched: Watched) -> Answer:
    """As many as torch uses here, by `bench.measure.settings`."""
    from bench.measure import settings  # imports torch

    threads, cores = settings.default_threads(), settings.usable_cores()
    state = f"{threads} on {counted(cores, 'usable core')}"
    if threads <= cores:
        return state, None, None
    return state, "threads wait for each other, and steps take several times as long", f"OMP_NUM_THREADS={cores}"


def thread_spinning(watched: Watched) -> Answer:
    """The settings of the OpenMP runtimes: for how long a thread without work stays awake.

    GCC's libgomp documents `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT`, LLVM's runtime also `KMP_BLOCKTIME`.
    """
    values = {name: os.environ[name].strip() for name in SPINNING if os.environ.get(name, "").strip()}
    state = ", ".join(f"{name}={value}" for name, value in values.items()) or "default of the OpenMP runtime"
    words, remedy = {value.lower() for value in values.values()}, f"unset {' '.join(values)}"
    if words & NEVER_SPINS:
        return state, "threads sleep between operators, and small steps wait until they wake", remedy
    if words & ALWAYS_SPINS:
        return state, "threads without work keep cores busy that loader workers and others need", remedy
    return state, None, None


def transparent_huge_pages(watched: Watched) -> Answer:
    """`admin-guide/mm/transhuge.rst`; the mode in force stands in brackets."""
    file = kernel.SYS / "kernel/mm/transparent_hugepage/enabled"
    mode = re.search(r"\[(\w+)\]", kernel.read(file))
    if mode is None:
        raise NotKnownError(f"{file} names no mode")
    if mode[1] != "always":
        return mode[1], None, None
    effect = "how much memory gets huge pages depends on what is free, and differs between processes"
    return mode[1], effect, f"echo madvise | sudo tee {file}"


def address_randomization(watched: Watched) -> Answer:
    """`admin-guide/sysctl/kernel.rst`, and `filesystems/proc.rst` for a process's `personality`.

    On is harmless: a run takes its rounds in several processes, and its intervals hold their differences. Off, all
    processes share one memory layout, and no interval holds what another one would have changed.
    """
    level = int(kernel.read(kernel.PROC / "sys/kernel/randomize_va_space"))
    effect = "all processes have one memory layout, and intervals leave out what another would change"
    if level == 0:
        return "off", effect, "sudo sysctl kernel.randomize_va_space=2"
    if int(kernel.read(kernel.PROC / "self/personality"), 16) & NO_RANDOMIZE:
        return "off for this process", effect, "start it without setarch --addr-no-randomize"
    return "on" if level == 2 else "on, but for the heap", None, None
