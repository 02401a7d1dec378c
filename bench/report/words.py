"""Phrases: how choices, machines and comparisons are called in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analyse.cell import Cell, Versus
from bench.record.model import Record
from bench.report import units

REFERENCE_BATCH = 64

# A choice without a row is called by its own name.
NAMES = {
    "cpu": "the CPU", "cuda": "the GPU", "mps": "the Apple GPU", "xpu": "the Intel GPU",
    "default": "torch.compile", "reduce-overhead": "torch.compile (reduce-overhead)",
    "max-autotune": "torch.compile (max-autotune)", "graph": "the whole step as a CUDA graph", "adam": "plain Adam",
    "foreach": "foreach Adam", "fused": "fused Adam",
    "loader": "the tutorial's DataLoader", "resident": "tensors in host memory", "device": "tensors in device memory",
}  # fmt: skip
FED_FROM = {"device": "the images in the device's memory", "resident": "each batch copied from host memory"}
# The terms of an account, and what a case is called that one of them takes the most of.
TERM_NAMES = {
    "data": "waiting for data", "copies": "copies to the device", "overhead": "overhead",
    "arithmetic": "matrix products", "memory": "other operators", "unexplained": "unexplained",
}  # fmt: skip
BOUNDS = {
    "data": "bound by data loading", "copies": "bound by copies to the device", "overhead": "overhead-bound",
    "arithmetic": "compute-bound", "memory": "bound by memory traffic", "unexplained": "not explained",
}  # fmt: skip
LAUNCH_BOUND = "launch-bound"  # overhead-bound on a device, which waits for its host
# What sets a roofline bound that neither arithmetic nor bytes set, by `bench.analyse.roofline.Roofline.bound`.
ROOFLINES = {
    "graph_node": "launch latency allows (a kernel of a CUDA graph per step)",
    "grid_barrier": "launch latency allows (a barrier of the whole GPU per step)",
}
FLAGS = {
    "processes-differ": "processes of this one program differ by more than their rounds do; the interval holds it",
    "drift": "the machine itself changed by more than 3% between the start and the end of the run; ratios hold",
    "crowded": "it computes on all cores, and others needed some for much of the run: compared with no other run",
    "apart": "the host had moved the cores apart for most of it, and threads took longer to hand work over: compared "
    "with no other run",
    "impossible": "it computes or moves bytes faster than the machine was measured to, so something is wrong",
    "unsynchronised": "the clock was read while the device was still working, so part of the work was not timed",
    "cold": "there was no warm-up, so first calls are among the samples",
    "recompiled": "torch.compile made new graphs while samples were taken, so compiling is among them",
    "not-as-claimed": "the model, its inputs or the settings are not those that the case's name says",
    "oversubscribed": "there are more threads than cores to run them, so they wait for each other",
    "contended": "other processes kept the processor busy meanwhile",
    "gpu-shared": "other processes use the GPU, too",
    "throttled": "the device had lowered its clocks, or the control group let the program wait for its quota",
    "launch-blocking": "CUDA_LAUNCH_BLOCKING was set, which makes every kernel wait for the one before",
    "anomaly-mode": "autograd's anomaly mode was on, which checks every operator",
    "profiled": "a profiler, debugger or coverage tool was recording, which slows every call",
    "debug-build": "torch was built for debugging",
    "coarse-clock": "the clock's steps are too large for blocks this short",
}


def name(choice: str) -> str:
    """A choice of an axis as it is called in a sentence."""
    return NAMES.get(choice, choice)


def fed_from(feed: str, feeds: Sequence[str]) -> str:
    """How a sentence begins that holds for one of several feeds of an accelerator's steps; nothing if there is one."""
    return f"with {FED_FROM.get(feed, f'the {feed} feed')}, " if len(feeds) > 1 else ""


def fed(feed: str, feeds: Sequence[str]) -> str:
    """The same behind what was measured: ` with each batch copied from host memory`."""
    return f" {fed_from(feed, feeds).removesuffix(', ')}".rstrip()


def capitalised(text: str) -> str:
    """The text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def plural(count: int, noun: str) -> str:
    """The noun as it follows the count."""
    return noun if count == 1 else f"{noun}s"


def machine_and_day(record: Record) -> str:
    """Where and when a record was measured."""
    return f"{record.machine.label}, {units.day(record.created_utc)}"


def version(record: Record) -> str:
    """The commit that was measured: of the program, where it is the user's own, by whose file it is known as well."""
    if record.program:
        digest, commit = record.program.sha256[:8], record.program.commit
        return f"{Path(record.program.file).name} {digest}{f', commit {commit.id[:8]}' if commit else ''}"
    if record.commit is None:
        return "unknown commit"
    return f"commit {record.commit.id[:8]}{' with uncommitted changes' if record.commit.dirty else ''}"


def flag_mark(cell: Cell, word: str = "flagged") -> str:
    """What follows the number of a flagged cell."""
    return f" ({word}: {cell.flag_names})" if cell.flags else ""


def which_is_faster(versus: Versus, this: str, other: str) -> str:
    """Which of two steps is the faster, `versus` being how many times as fast `this` is as `other`."""
    if versus.ratio is None:
        return f"{this} and {other} are not compared ({versus.reason})"
    if not versus.ratio.clear:
        return f"there is no clear difference between {this} and {other}"
    if versus.ratio.value > 1:
        return f"{this} is the faster: a step on {other} takes {units.times(versus.ratio, 'as long')}"
    return f"{other} is the faster: a step on {this} takes {units.times(units.inverse(versus.ratio), 'as long')}"


def change(versus: Versus) -> str:
    """What a variant does, `versus` being how many times as fast it is as the plain case."""
    if versus.ratio is None:
        return f"is not compared ({versus.reason})"
    if not versus.ratio.clear:
        return "makes no clear difference"
    if versus.ratio.value > 1:
        return f"is {units.times(versus.ratio, 'as fast')}"
    return f"is {units.slower(versus.ratio)}"
