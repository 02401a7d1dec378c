"""A quiet machine of four CPUs as Linux shows it in files, and one condition of it."""

from __future__ import annotations

from bench.measure.conditions import GPU_CONDITIONS, conditions
from bench.measure.kernel import Meanwhile
from bench.record.model import Beside
from tests.measure.machines import UUID

FINE = None, None
CPU = "sys/devices/system/cpu"


class Shown:
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


QUIET = Beside(others_cores=0.06, stopped_cores=0.0, gpu_throttle_reasons=0, gpu_others=0)


def condition(name, beside=QUIET, meanwhile=Meanwhile(0.01, 0)):
    """State, effect and remedy of one."""
    (answer,) = (c for c in conditions(beside, UUID if name in GPU_CONDITIONS else None, meanwhile) if c.name == name)
    return answer.state, answer.effect, answer.remedy
