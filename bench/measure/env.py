"""`fcnn-bench env`: what this machine is, and what would make its numbers untrustworthy."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from rich.table import Table
from rich.text import Text

from bench import console
from bench.axes import matrix
from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.errors import DONE
from bench.measure import energy, facts, honesty, settings
from bench.measure.honesty import Seen
from bench.measure.sampling import Rule, Samples
from bench.measure.surroundings import Watch

WATCHED_SECONDS = 0.5
SHORTEST_BLOCK_SECONDS = 5e-3  # by the timing rules
# What to do about a flag, by its name.
ADVICE = {
    "oversubscribed": "set OMP_NUM_THREADS, or --threads, to fewer, or raise the quota",
    "contended": "end them, or wait until they are done",
    "gpu-shared": "end them, or wait until they are done",
    "throttled": "let it cool down, lift its power limit, or raise the control group's quota",
    "launch-blocking": "unset it",
    "anomaly-mode": "switch it off",
    "profiled": "run without it",
    "debug-build": "install a release build",
    "coarse-clock": "no case here can be timed well",
}


def env() -> int:
    """Prints the machine, its hardware, software and settings, its state, and the warnings; the exit code."""
    devices = matrix.devices_here()
    settings.use_threads(settings.default_threads())
    found = facts.environment(devices)
    seen = look_around(devices)
    terminal = console.make()
    terminal.print(Text(f"{facts.machine().label}\n", style="bold"))
    for group, values in {**found, "right now": state(seen, devices)}.items():
        table = Table(title=group, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, value in values.items():
            table.add_row(name.removesuffix("_bytes").replace("_", " "), _plain(name, value))
        terminal.print(table, "")
    for warning in warnings(seen):
        terminal.print(Text.assemble(("warning:", "yellow"), f" {warning}"), soft_wrap=True)
    return DONE


def look_around(devices: Sequence[str]) -> Seen:
    """What a run that started now would see around it, in half a second, with a block of the shortest length."""
    device = next((name for name in devices if name != "cpu" and not DEVICES[name].why_missing()), "cpu")
    # So that this process is among those on the GPU, where its own work is no work of others.
    torch.zeros(1, device=DEVICES[device].torch_name)
    case = Case("step", device, 64, "fp32", "off", "adam", "resident", threads=settings.default_threads())
    watch = Watch()
    watch.start()
    time.sleep(WATCHED_SECONDS)
    return watch.seen(case, Samples([SHORTEST_BLOCK_SECONDS], None, 1, 0.0, 0.0, 0), Rule(), None)


def state(seen: Seen, devices: Sequence[str]) -> dict[str, str]:
    """What changes from moment to moment, and whether energy can be measured here, by name."""
    found = {
        "load by other processes": f"{seen.others_cores:.2f} cores",
        "clock resolution": f"{seen.clock_resolution_seconds * 1e9:,.0f} ns",
    }
    for name in devices:
        if not DEVICES[name].why_missing():
            reason = energy.why_not(DEVICES[name].torch_name)
            found[f"energy, {name}"] = f"not measurable: {reason}" if reason else "measurable"
    return found


def warnings(seen: Seen) -> list[str]:
    """What would flag a run that started now: the flag, why, and what to do, a sentence each."""
    return [f"{flag.name}: {flag.reason}; {ADVICE[flag.name]}" for flag in honesty.flags(seen)]


def _plain(name: str, value: object) -> str:
    if value is False and name.endswith("_instructions"):
        return "no: it emulates them"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not known" if name.endswith("_instructions") else "-"
    if isinstance(value, int) and name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    return str(value)
