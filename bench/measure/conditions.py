"""What will disturb measurements on this machine: each condition, its state, its effect on the numbers, its remedy.

What the machine does not tell is "not known", with the reason; it never passes for harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.measure import conditions_cpu, conditions_gpu, conditions_system
from bench.measure.kernel import Answer, Meanwhile, NotKnownError, Watched
from bench.measure.nvml import NvmlError
from bench.record.model import Beside

NOT_KNOWN = "not known: "
# One row per condition: its name, as the record's facts have theirs, and what tells its state, effect and remedy.
CPU_CONDITIONS: dict[str, Callable[[Watched], Answer]] = {
    "frequency_governor": conditions_cpu.frequency_governor,
    "turbo": conditions_cpu.turbo,
    "smt_siblings": conditions_cpu.smt_siblings,
    "numa_nodes": conditions_cpu.numa_nodes,
    "virtual_machine": conditions_cpu.virtual_machine,
    "hypervisor_steal": conditions_cpu.hypervisor_steal,
    "load_by_other_processes": conditions_system.load_by_other_processes,
    "control_group_quota": conditions_system.control_group_quota,
    "swap": conditions_system.swap,
    "openmp_threads": conditions_system.openmp_threads,
    "thread_spinning": conditions_system.thread_spinning,
    "transparent_huge_pages": conditions_system.transparent_huge_pages,
    "address_randomization": conditions_system.address_randomization,
}
GPU_CONDITIONS: dict[str, Callable[[Watched], Answer]] = {
    "gpu_persistence_mode": conditions_gpu.gpu_persistence_mode,
    "gpu_clocks": conditions_gpu.gpu_clocks,
    "gpu_power_limit": conditions_gpu.gpu_power_limit,
    "gpu_other_processes": conditions_gpu.gpu_other_processes,
}


@dataclass(frozen=True)
class Condition:
    """What may disturb a measurement.

    Attributes:
        state: As the machine tells it; `NOT_KNOWN` and the reason where it does not.
        effect: On the numbers; None if the state is harmless or not known.
        remedy: What to do about it; None where `effect` is None.
    """

    name: str
    state: str
    effect: str | None = None
    remedy: str | None = None

    @property
    def known(self) -> bool:
        """Whether the machine tells the state."""
        return not self.state.startswith(NOT_KNOWN)


def conditions(beside: Beside, gpu: str | None, meanwhile: Meanwhile | None = None) -> list[Condition]:
    """Every condition of this machine, in the order of the tables.

    Args:
        beside: What a watch saw; without one an empty `Beside()`, and what only a watch tells is not known.
        gpu: The uuid of the GPU that is used; None without one, which leaves its conditions out.
        meanwhile: What the kernel counted during the watch.
    """
    watched = Watched(beside, meanwhile or Meanwhile(), gpu)
    table = CPU_CONDITIONS if gpu is None else CPU_CONDITIONS | GPU_CONDITIONS
    return [_condition(name, tell, watched) for name, tell in table.items()]


def _condition(name: str, tell: Callable[[Watched], Answer], watched: Watched) -> Condition:
    try:
        return Condition(name, *tell(watched))
    except (NotKnownError, NvmlError) as error:
        return Condition(name, f"{NOT_KNOWN}{error}")
    except (OSError, ValueError) as error:
        return Condition(name, f"{NOT_KNOWN}the system's answer cannot be understood ({error})")
