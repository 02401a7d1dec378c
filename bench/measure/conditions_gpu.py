"""What disturbs measurements on a GPU, as NVML tells it: one function per condition.

A function returns a condition's state, its effect and its remedy (None and None if it is harmless), or raises
NvmlError. Source: NVIDIA's NVML API reference.
"""

from __future__ import annotations

from bench.measure import gpu as gpu_state
from bench.measure import nvml, surroundings
from bench.measure.kernel import NOT_WATCHED, Answer, NotKnownError, Watched


def gpu_persistence_mode(watched: Watched) -> Answer:
    """Whether the driver stays loaded when no process uses the GPU."""
    if nvml.ask(lambda pynvml, gpu: bool(pynvml.nvmlDeviceGetPersistenceMode(gpu)), watched.gpu):
        return "on", None, None
    effect = "the driver starts anew with each process, and first calls take longer"
    return "off", effect, "sudo nvidia-smi --persistence-mode=1"


def gpu_clocks(watched: Watched) -> Answer:
    """Whether they are lowered now, and why."""
    # Asked anew: a watch counts what NVML does not tell as "not lowered".
    mask = nvml.ask(lambda pynvml, gpu: int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)), watched.gpu)
    mask |= watched.beside.gpu_throttle_reasons or 0
    state = f"lowered: {', '.join(gpu_state.reasons(mask))}" if mask else "not lowered"
    if not mask & gpu_state.THROTTLED:
        return state, None, None
    effect = "kernels are slower than at the GPU's full clock rate"
    return state, effect, "let it cool down, and lift its power limit"


def gpu_power_limit(watched: Watched) -> Answer:
    """The limit in force beside the board's default."""
    limit, default = nvml.ask(
        lambda pynvml, gpu: (
            # It counts in milliwatts.
            pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1e3,
            pynvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1e3,
        ),
        watched.gpu,
    )
    if limit >= default:
        return f"{limit:.0f} W", None, None
    effect = "clocks fall sooner than on other GPUs of this model"
    return f"{limit:.0f} W, default {default:.0f} W", effect, f"sudo nvidia-smi --power-limit={default:.0f}"


def gpu_other_processes(watched: Watched) -> Answer:
    """Those with work on it, as a watch counted them; NVML is asked whether it can tell at all."""
    nvml.ask(lambda pynvml, gpu: pynvml.nvmlDeviceGetComputeRunningProcesses(gpu), watched.gpu)
    others = watched.beside.gpu_others
    if others is None:
        raise NotKnownError(watched.beside.gpu_not_known or NOT_WATCHED)
    if surroundings.shared(others) is None:
        return "none", None, None
    return str(others), "kernels wait for those of the others", "end them, or wait"
