"""Machines that tests make up: what psutil and NVML would say of them."""

from __future__ import annotations

import os
import sys
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from bench.measure import processes, surroundings
from bench.measure.gpu import POLICIES

SystemTimes = namedtuple("SystemTimes", "user system idle iowait steal guest guest_nice")
ProcessTimes = namedtuple("ProcessTimes", "user system children_user children_system iowait")
WORKER = 424242  # the number of a process that is asked
UUID = "5f1c3a4e-0000-4000-8000-000000000001"


class Load:
    """A machine of two cores: seconds of work by others and by this process, which `pass_time` adds to.

    `processes` has the own ones by number, this one first; a number of `commands` has a command line of its own.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.system = dict.fromkeys(SystemTimes._fields, 50.0)
        self.second_core = dict.fromkeys(SystemTimes._fields, 20.0)  # its part of the system's
        self.here = os.getpid()
        self.processes = {self.here: dict.fromkeys(ProcessTimes._fields, 5.0)}
        self.worker = dict.fromkeys(ProcessTimes._fields, 1.0)
        self.gone: set[int] = set()  # processes that end between being listed and being asked
        self.session: set[int] = set()  # what is in the worker's session without being anyone's child
        self.commands: dict[int, list[str]] = {}
        fake = SimpleNamespace(
            cpu_times=lambda percpu=False: self._times() if percpu else SystemTimes(**self.system),
            pids=lambda: [*self.processes, *self.session, WORKER, 1],
            Process=self._process,
            NoSuchProcess=psutil.NoSuchProcess,
            Error=psutil.Error,
        )
        monkeypatch.setattr(surroundings, "psutil", fake)
        monkeypatch.setattr(processes, "psutil", fake)
        monkeypatch.setattr(processes, "_session", lambda pid: WORKER if pid in self.session else pid)
        monkeypatch.setattr(surroundings, "time", SimpleNamespace(monotonic=lambda: self.now))

    def _times(self) -> list[SystemTimes]:
        first = {kind: spent - self.second_core[kind] for kind, spent in self.system.items()}
        return [SystemTimes(**first), SystemTimes(**self.second_core)]

    def _process(self, pid: int | None = None) -> Any:
        pid = self.here if pid is None else pid

        def times() -> ProcessTimes:
            if pid in self.gone or pid not in {WORKER, *self.processes}:
                raise psutil.NoSuchProcess(pid)
            return ProcessTimes(**(self.worker if pid == WORKER else self.processes[pid]))

        def children(recursive: bool) -> list[Any]:
            listed = {*self.processes, *self.gone} - {self.here} - self.session
            return [SimpleNamespace(pid=child) for child in listed]

        return SimpleNamespace(
            pid=pid, cpu_times=times, children=children, cmdline=lambda: self.commands.get(pid, ["python"])
        )

    def start(self, pid: int, *command: str) -> dict[str, float]:
        """A process of the own tree, which has not computed yet; its times."""
        self.processes[pid] = dict.fromkeys(ProcessTimes._fields, 0.0)
        self.commands[pid] = list(command)
        return self.processes[pid]

    def pass_time(self, seconds: float, *, own: float = 0.0, worker: float = 0.0, **others: float) -> None:
        """`own` seconds of work here, those of a worker, and `others` by the kind of time that the system counts."""
        self.now += seconds
        self.worker["user"] += worker
        self.system["user"] += worker
        self.processes[self.here]["user"] += own
        self.system["user"] += own
        for kind, spent in others.items():
            self.system[kind] += spent


class NVMLError(Exception):
    """As pynvml's."""


def gpu(monkeypatch: pytest.MonkeyPatch, kind: str = "GPU", **answers: Any) -> SimpleNamespace:
    """A GPU with an NVML that answers so; what is not named here, it has not heard of.

    Answers by the end of the function's name, such as `TotalEnergyConsumption`; an exception is raised, and what can be
    called is given what follows the handle. A GPU of the kind `MIG` is an instance, a part of one.
    """

    def handle(uuid: str) -> str:
        if not uuid.startswith(f"{kind}-"):
            raise NVMLError("Not Found")
        return uuid

    def answering(answer: Any) -> Any:
        def function(*handle: Any) -> Any:
            assert handle[:1] in ((), (f"{kind}-{UUID}",))
            answered = answer(*handle[1:]) if callable(answer) else answer
            if isinstance(answered, Exception):
                raise answered
            return answered

        return function

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=answering(answers.pop("Init", None)),
        nvmlDeviceGetHandleByUUID=handle,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_TEMPERATURE_GPU=0,
        **{f"NVML_PERF_POLICY_{policy}": number for number, policy in enumerate(POLICIES)},
        **{f"nvml{name}": answering(answer) for name, answer in answers.items()},
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=UUID))
    return fake


def running(*pids: int) -> list[SimpleNamespace]:
    """Processes as NVML lists them."""
    return [SimpleNamespace(pid=pid) for pid in pids]


def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not installed."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
