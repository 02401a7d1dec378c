"""Machines that tests make up: what psutil and NVML would say of them."""

from __future__ import annotations

import sys
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from bench.measure import surroundings

SystemTimes = namedtuple("SystemTimes", "user system idle iowait steal guest guest_nice")
ProcessTimes = namedtuple("ProcessTimes", "user system children_user children_system iowait")
WORKER = 424242  # the number of a process that is asked
UUID = "5f1c3a4e-0000-4000-8000-000000000001"


class Load:
    """A machine of two cores: seconds of work by others and by this process, which `pass_time` adds to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.system = dict.fromkeys(SystemTimes._fields, 50.0)
        self.processes = [dict.fromkeys(ProcessTimes._fields, 5.0)]
        self.worker = dict.fromkeys(ProcessTimes._fields, 1.0)
        self.gone = 0  # processes that end between being listed and being asked
        fake = SimpleNamespace(
            cpu_times=lambda: SystemTimes(**self.system),
            Process=self._process,
            NoSuchProcess=psutil.NoSuchProcess,
            Error=psutil.Error,
        )
        monkeypatch.setattr(surroundings, "psutil", fake)
        monkeypatch.setattr(surroundings, "time", SimpleNamespace(monotonic=lambda: self.now))

    def _process(self, pid: int | None = None) -> Any:
        if pid == WORKER:
            return SimpleNamespace(cpu_times=lambda: ProcessTimes(**self.worker))

        def end() -> ProcessTimes:
            raise psutil.NoSuchProcess(1)

        own, *children = (
            SimpleNamespace(cpu_times=lambda times=times: ProcessTimes(**times)) for times in self.processes
        )
        gone = [SimpleNamespace(cpu_times=end)] * self.gone
        return SimpleNamespace(cpu_times=own.cpu_times, children=lambda recursive: [*gone, *children])

    def pass_time(self, seconds: float, *, own: float = 0.0, worker: float = 0.0, **others: float) -> None:
        """`own` seconds of work here, those of a worker, and `others` by the kind of time that the system counts."""
        self.now += seconds
        self.worker["user"] += worker
        self.system["user"] += worker
        self.processes[0]["user"] += own
        self.system["user"] += own
        for kind, spent in others.items():
            self.system[kind] += spent


class NVMLError(Exception):
    """As pynvml's."""


def gpu(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> SimpleNamespace:
    """A GPU with an NVML that answers so; what is not named here, it has not heard of.

    Answers by the end of the function's name, such as `TotalEnergyConsumption`; an exception is raised.
    """

    def answering(answer: Any) -> Any:
        def function(*handle: str) -> Any:
            assert handle in ((), (f"GPU-{UUID}",))
            if isinstance(answer, Exception):
                raise answer
            return answer() if callable(answer) else answer

        return function

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=answering(answers.pop("Init", None)),
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        **{f"nvml{name}": answering(answer) for name, answer in answers.items()},
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=UUID))
    return fake


def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not installed."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
