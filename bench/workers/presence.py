"""Whether a device works, asked by a process that is not to compute on it itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from bench.axes.devices import DEVICES, Device
from bench.measure import gpu
from bench.workers.conversation import WorkerError
from bench.workers.process import ask_once
from bench.workers.start import Workers

TRY_LIMIT_SECONDS = 120.0  # torch is imported first; a driver that hangs is not waited for longer


Survey = TypeVar("Survey")


def surveyed(workers: Workers, survey: Callable[[Any], Survey]) -> Survey:
    """What `survey` makes of a worker that has tried every accelerator and sets aside those that do not work.

    An accelerator that kills or hangs the worker, or passes its trial and fails the survey, is set aside, too: another
    worker surveys without any, so that the CPU's numbers are never lost by it.

    Raises:
        WorkerError: The survey failed, and no accelerator can be the reason.
    """
    with workers.start("the survey") as worker:
        working = True
        try:
            working = None in worker.ask("try_devices", TRY_LIMIT_SECONDS).values()
            return survey(worker)
        except WorkerError as error:
            if not working:
                raise
            reason = str(error)
    with workers.start("the survey") as worker:
        worker.ask("set_aside", reasons=_all_set_aside(reason))
        return survey(worker)


def _all_set_aside(reason: str) -> dict[str, str]:
    return {name: f"it is here and does not work: {reason}" for name in DEVICES if name != "cpu"}


def why_unusable(device: Device, *, by_several: bool = False) -> str | None:
    """Why a device cannot be used here: it is missing, or one real operation in a process of its own failed.

    Args:
        device: Which.
        by_several: Whether several processes are to use it at a time.
    """
    reason = device.why_missing()
    if reason or device.name == "cpu":
        return reason
    try:
        reasons: dict[str, str | None] = ask_once("try_devices", TRY_LIMIT_SECONDS, "the process that tries the device")
    except WorkerError as error:
        return _all_set_aside(str(error))[device.name]
    reason = reasons.get(device.name)
    return reason or (gpu.exclusive() if by_several and device.name == "cuda" else None)
