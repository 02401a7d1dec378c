"""`fcnn-bench env`: what this machine is, and what would make its numbers untrustworthy."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table as Grid
from rich.text import Text

from bench import console
from bench.axes import matrix
from bench.axes.case import Case
from bench.axes.devices import DEVICES, try_out, why_unusable
from bench.errors import DONE
from bench.measure import energy, facts, nvml, settings, validity
from bench.measure.clock import clock_resolution_seconds
from bench.measure.conditions import Condition, conditions
from bench.measure.kernel import KernelWatch
from bench.measure.surroundings import Watch
from bench.measure.validity import Observation
from bench.table import PROSE, Column, Table, on_terminal
from bench.text import fact_name, fact_value, one_line

WATCHED_SECONDS = 0.5
FOLDED = Column("value", PROSE)
SHORTEST_BLOCK_SECONDS = 5e-3  # by the timing rules
# What to do about a flag, by its name.
ADVICE = {
    "oversubscribed": "set OMP_NUM_THREADS, or --threads, to fewer, or raise the quota",
    "launch-blocking": "unset it",
    "anomaly-mode": "switch it off",
    "profiled": "run without it",
    "debug-build": "install a release build",
    "coarse-clock": "no case here can be timed well",
}


def env() -> int:
    """Prints the machine, its hardware, software and settings, what will disturb, and the warnings; the exit code."""
    devices = matrix.devices_here()
    for name in devices:
        try_out(name)
    settings.use_threads(settings.default_threads())
    environment = facts.environment(devices)
    del environment["conditions"]  # those without a watch
    around = look_around(devices)
    terminal = console.make()
    terminal.print(Text(f"{facts.machine().label}\n", style="bold"))
    for group, values in {**environment, "clock and energy": instruments(around.seen, devices)}.items():
        rows = [[fact_name(name), _plain(name, value)] for name, value in values.items()]
        terminal.print(on_terminal(Table([Column("fact"), FOLDED], rows), title=group, headings=False), "")
    terminal.print(disturbing(around.conditions), "")
    for warning in warnings(around):
        terminal.print(Text.assemble(("warning:", "yellow"), f" {warning}"), soft_wrap=True)
    return DONE


@dataclass(frozen=True)
class Around:
    """What a run that started now would see around it.

    Attributes:
        seen: For the flags.
        disturbance: Why a round would be marked as disturbed; None if it would not.
    """

    seen: Observation
    conditions: list[Condition]
    disturbance: str | None = None


def look_around(devices: Sequence[str]) -> Around:
    """What is around, watched for half a second, for a block of the shortest length."""
    device = next((name for name in devices if name != "cpu" and not why_unusable(name)), "cpu")
    # So that this process is among those on the GPU, where its own work is no work of others.
    torch.zeros(1, device=DEVICES[device].torch_name)
    gpu = nvml.gpu_uuid() if device == "cuda" else None
    case = Case(device=device, threads=settings.default_threads())
    watch, counts = Watch(os.getpid(), gpu), KernelWatch()
    time.sleep(WATCHED_SECONDS)
    (beside, disturbance), meanwhile = watch.seen(), counts.seen()
    seen = Observation(case, block_seconds=SHORTEST_BLOCK_SECONDS, clock_resolution_seconds=clock_resolution_seconds())
    return Around(seen, conditions(beside, gpu, meanwhile), disturbance)


def instruments(seen: Observation, devices: Sequence[str]) -> dict[str, str]:
    """The clock's resolution and, for each device that is here, whether its energy can be measured, by name."""
    lines = {"clock resolution": f"{seen.clock_resolution_seconds * 1e9:,.0f} ns"}
    for name in devices:
        if not why_unusable(name):
            reason = energy.why_not(DEVICES[name].torch_name)
            lines[f"energy, {name}"] = f"not measurable: {reason}" if reason else "measurable"
    return lines


def disturbing(conditions: Sequence[Condition]) -> Grid:
    """A row per condition: its verdict and state, and where it disturbs its effect and remedy on lines of their own.

    Not in columns of their own: on a terminal of 80 characters, paths and commands would be torn apart.
    """
    rows = []
    for condition in conditions:
        if condition.effect:
            lines = [f"disturbs: {condition.state}", f"effect: {condition.effect}", f"remedy: {condition.remedy}"]
        else:
            lines = [f"fine: {condition.state}" if condition.known else condition.state]
        name = condition.name.replace("_", " ")
        rows.append([name, "\n".join(map(one_line, lines))])
    dim = {number: "dim" for number, condition in enumerate(conditions) if not condition.effect}
    return on_terminal(
        Table([Column("condition"), FOLDED], rows), title="what will disturb", headings=False, styles=dim
    )


def warnings(around: Around) -> list[str]:
    """What would mark a run that started now, why, and what to do, one sentence each."""
    flags = [f"{flag.name}: {flag.reason}; {ADVICE[flag.name]}" for flag in validity.flags(around.seen)]
    if around.disturbance is None:
        return flags
    return [f"disturbed: {around.disturbance}; the remedy is above", *flags]


def _plain(name: str, value: object) -> str:
    if value is False and name.endswith("_instructions"):
        return "no: it emulates them"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not known" if name.endswith("_instructions") else "-"
    if isinstance(value, int) and name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    return fact_value(name, value)
