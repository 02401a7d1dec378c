"""The device axis. Another kind of device is one more row."""

from __future__ import annotations

import functools
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Device:
    """A kind of device and how to time work on it.

    Attributes:
        torch_name: What `torch.device` calls it.
        why_missing: The reason why this machine has none, or None. Asks the driver alone: nothing is computed, and a
            process that only plans takes no memory of the device. Whether it works is another question (`try_out`).
        model: The hardware's name, for people.
        synchronize: Waits until all queued work is done; asynchronous devices need it around every timed block.
        timing_event: Makes a device-side timing event (`record`, `elapsed_time`), or None where there is no such thing.
        wake_seconds: For how long it is kept busy before a turn if it had nothing to do and so may have lowered its
            clocks. On an H200 an open context keeps them up; where it does not, as on GPUs for desktops, they come back
            within some hundredths of a second.
    """

    name: str
    torch_name: str
    why_missing: Callable[[], str | None]
    model: Callable[[], str]
    synchronize: Callable[[], None]
    timing_event: Callable[[], Any] | None = None
    wake_seconds: float = 0.0


def _nothing_to_wait_for() -> None:
    """CPU operators return when they are done."""


@functools.cache
def _cpu_info() -> dict[str, Any]:
    """What the processor reports of itself. Cached: asking takes a second."""
    try:
        import cpuinfo

        return dict(cpuinfo.get_cpu_info())
    except ImportError:
        return {}


def cpu_model() -> str:
    """The processor's brand, as it reports it; with its family and model, where the brand names none.

    Virtual machines hide them: what is called "AMD EPYC" may be of any generation, with AVX-512 and without it, and a
    time of the one says nothing of the other.
    """
    info = _cpu_info()
    brand = str(info.get("brand_raw") or platform.processor() or platform.machine())
    name, at, clock = brand.partition("@")
    numbers = ", ".join(f"{kind} {info[kind]}" for kind in ("family", "model") if kind in info)
    if not numbers or re.search(r"\d", re.sub(r"\d+-Core", "", name)):
        return brand
    return f"{name.rstrip()} ({numbers}) {at}{clock}".rstrip()


def cpu_flags() -> list[str]:
    """The processor's features, as it reports them; empty if it does not."""
    return list(_cpu_info().get("flags", []))


@dataclass(frozen=True)
class _Event:
    """A timing event of one of several GPUs, recorded among the work that is queued there now."""

    of: Any
    number: int

    def record(self) -> None:
        import torch

        self.of.record(torch.cuda.current_stream(self.number))

    def synchronize(self) -> None:
        self.of.synchronize()

    def elapsed_time(self, end: _Event) -> float:
        return float(self.of.elapsed_time(end.of))


def gpu(number: int) -> Device:
    """One of the CUDA GPUs that this process sees, whichever is the current one."""

    def missing() -> str | None:
        import torch

        count = torch.cuda.device_count()
        return _cuda_missing() or (f"there are {count}" if number >= count else None)

    def model() -> str:
        import torch

        return torch.cuda.get_device_name(number)

    def synchronize() -> None:
        import torch

        torch.cuda.synchronize(number)

    def event() -> _Event:
        import torch

        event = _Event(torch.cuda.Event(enable_timing=True), number)
        event.record()
        return event

    name = f"cuda:{number}"
    return Device(name, name, missing, model, synchronize, event, WAKE_SECONDS)


def _cuda_missing() -> str | None:
    import torch

    if not torch.backends.cuda.is_built():
        return "this build of torch has no CUDA"
    if torch.cuda.is_available():
        return None
    visible = visible_gpus()
    among = "" if visible is None else f" among {VISIBLE}={visible}"
    return f"no CUDA GPU here{among} (torch.cuda.is_available() is False)"


def _cuda_model() -> str:
    import torch

    return torch.cuda.get_device_name()


def _cuda_synchronize() -> None:
    import torch

    torch.cuda.synchronize()


def _cuda_event() -> Any:
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()  # only now torch makes it, which is not to fall into a timed block
    return event


def _mps_missing() -> str | None:
    import torch

    return None if torch.backends.mps.is_available() else "no Apple GPU here"


def _mps_synchronize() -> None:
    import torch

    torch.mps.synchronize()


def _xpu_missing() -> str | None:
    import torch

    return None if torch.xpu.is_available() else "no Intel GPU here"


def _xpu_model() -> str:
    import torch

    return str(torch.xpu.get_device_name())


def _xpu_synchronize() -> None:
    import torch

    torch.xpu.synchronize()


WAKE_SECONDS = 0.05
DEVICES = {
    row.name: row
    for row in (
        Device("cpu", "cpu", lambda: None, cpu_model, _nothing_to_wait_for),
        Device("cuda", "cuda", _cuda_missing, _cuda_model, _cuda_synchronize, _cuda_event, WAKE_SECONDS),
        Device("mps", "mps", _mps_missing, lambda: "Apple GPU", _mps_synchronize, None, WAKE_SECONDS),
        Device("xpu", "xpu", _xpu_missing, _xpu_model, _xpu_synchronize, None, WAKE_SECONDS),
    )
}

VISIBLE = "CUDA_VISIBLE_DEVICES"  # of CUDA's environment variables; a process reads it when it first uses a GPU


def gpu_number(name: str) -> int | None:
    """The number of the GPU in a device's name such as `cuda:1`; None of a name without one.

    Raises:
        ValueError: There is no such device.
    """
    kind, colon, number = name.partition(":")
    if kind not in DEVICES or (colon and (kind != "cuda" or not number.isdecimal())):
        names = ", ".join(DEVICES)
        raise ValueError(f"{name!r} is no device: there are {names}, and a GPU by its number, like cuda:1")
    return int(number) if colon else None


def choose(names: Sequence[str]) -> list[str]:
    """The kinds of devices, and from now on their GPU is the only one that this process and its children see.

    So a case on `cuda:1` is called as one on `cuda`, and is timed by the same code. Not after a GPU has been used.

    Args:
        names: Devices, of CUDA's one GPU alone; a number counts those that are visible.

    Raises:
        ValueError: There is no such device, or two GPUs are named: a run is on one.
    """
    numbers = {name: gpu_number(name) for name in names}
    gpus = [name for name in numbers if name.partition(":")[0] == "cuda"]
    if len(gpus) > 1:
        raise ValueError(f"a run is on one GPU, not on {' and '.join(gpus)}")
    for number in (numbers[name] for name in gpus):
        if number is not None:
            named = os.environ.get(VISIBLE)
            visible = None if named is None else [one for one in named.split(",") if one.strip()]
            if visible is not None and number >= len(visible):
                raise ValueError(f"there is no cuda:{number}: {VISIBLE} names {len(visible) or 'none'}")
            os.environ[VISIBLE] = str(number) if visible is None else visible[number]
    return [name.partition(":")[0] for name in names]


def visible_gpus() -> str | None:
    """The GPUs that this process and its children see, as the environment names them; None for all."""
    return os.environ.get(VISIBLE)


def see_again(visible: str | None) -> None:
    """The GPUs that `visible_gpus` told when a run was begun are seen again as it goes on."""
    if visible is not None:
        os.environ[VISIBLE] = visible


_UNUSABLE: dict[str, str | None] = {}


def why_unusable(name: str) -> str | None:
    """Why a device is not to be used: it is missing, or was tried or set aside with this reason. None if it may be."""
    return DEVICES[name].why_missing() or _UNUSABLE.get(name)


def try_out(name: str) -> str | None:
    """Runs one real operation on the device; why it cannot, in one line, which `why_unusable` then tells as well.

    A driver that lists a GPU does not promise that it computes: it may be of an architecture that this torch has no
    kernels for, have no memory left, or be another process's alone.
    """
    if name not in _UNUSABLE and DEVICES[name].why_missing() is None:
        _UNUSABLE[name] = _fault(DEVICES[name].torch_name)
    return why_unusable(name)


def set_aside(name: str, reason: str) -> None:
    """From now on, this process does not use the device."""
    _UNUSABLE[name] = reason


def _fault(torch_name: str) -> str | None:
    import torch

    try:
        ones = torch.ones(8, 8, device=torch_name)
        total = float((ones @ ones).sum())
    except Exception as error:  # a torch without the device raises AssertionError, its lazy start a class of its own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"it is here and does not work: {lines[0]}"
    return None if total == 512.0 else f"it is here and computes wrong: 512 came out as {total:g}"
