"""Which processes are a run's own, and how long they have computed.

Imports no torch.
"""

from __future__ import annotations

import contextlib
import os

import psutil

COMPILE_WORKER = "compile_worker"  # in the command line of those that torch's Inductor starts


def own(*workers: int) -> set[int]:
    """This process, all that it has started in turn, and all of the workers' sessions.

    A worker leads a session, so what it has started is its own also when another process has become the parent.
    """
    pids = {os.getpid(), *workers}
    with contextlib.suppress(psutil.Error):
        pids |= {child.pid for child in psutil.Process().children(recursive=True)}
    if workers and hasattr(os, "getsid"):
        pids |= {pid for pid in psutil.pids() if _session(pid) in workers}
    return pids


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # it has ended, or is another user's on a system that minds
        return None


def cpu_seconds(pids: set[int]) -> dict[int, float]:
    """User and system time of each process, with that of its children that have ended; those that are gone, not."""
    seconds = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            seconds[pid] = float(sum(psutil.Process(pid).cpu_times()[:4]))
    return seconds


def compiles(pid: int) -> bool:
    """Whether the process is one of those in which Inductor compiles Triton's kernels beside the process itself."""
    try:
        return any(COMPILE_WORKER in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
