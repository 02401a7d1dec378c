"""`fcnn-bench env`: what this machine is, and what would make its numbers untrustworthy."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.axes import matrix
from bench.measure import facts, settings


def env() -> int:
    """Prints the machine, its hardware, software and settings, and the warnings; the exit code."""
    devices = matrix.devices_here()
    settings.use_threads(settings.default_threads())
    found = facts.environment(devices)
    console = Console(highlight=False)
    console.print(f"[bold]{facts.machine(devices).label}[/]\n")
    for group, values in found.items():
        table = Table(title=group, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, value in values.items():
            table.add_row(name.replace("_", " "), "-" if value is None else str(value))
        console.print(table, "")
    for warning in warnings(found):
        console.print(f"[yellow]warning:[/] {warning}")
    return 0


def warnings(environment: dict[str, dict[str, object]]) -> list[str]:
    """What in `environment` (as `facts.environment` gives it) would make timings untrustworthy, a sentence each."""
    hardware, software, chosen = (environment[group] for group in ("hardware", "software", "settings"))
    quota = hardware["cpu_quota_cores"]
    threads = chosen["cpu_threads_default"]
    found = []
    if isinstance(quota, float) and isinstance(threads, int) and threads > quota:
        found.append(f"{threads} threads share {quota:g} cores (OMP_NUM_THREADS is above the control group's quota)")
    if chosen["cuda_launch_blocking"]:
        found.append("CUDA_LAUNCH_BLOCKING is set: every kernel waits for the one before; unset it")
    if chosen["anomaly_mode"]:
        found.append("autograd's anomaly mode is on: every operator is checked for NaN")
    if software["torch_debug"]:
        found.append("this is a debug build of torch")
    return found
