"""All rows of the ladder: for each device its steps in their order, then the peers."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.axes.compilers import COMPILERS
from bench.ladder import graphs, native, peers, persistent, steps
from bench.ladder.program import FreshTraining
from bench.measure.facts import has
from bench.workers.capture import capture
from fcnn.data import Images

KERNELS, PERSISTENT_KERNEL = (Path(__file__).with_name(name) for name in ("kernels.py", "persistent_triton.py"))


@dataclass(frozen=True)
class LadderRow:
    """A row of the ladder.

    Attributes:
        make: A fresh training from images and a seed, on a device.
        removed: What the step takes away from the one before it.
        why_not: Why it cannot be climbed here; None if it can.
        also: Functions and files that belong to it, beside `make`.
    """

    name: str
    make: Callable[[Images, int, torch.device], FreshTraining]
    removed: str
    why_not: Callable[[], str | None] = lambda: None
    also: tuple[Callable[..., object] | Path, ...] = ()

    @property
    def compiles(self) -> bool:
        """Whether torch.compile generates its code, which takes the most of a minute from cold."""
        return steps.generated in self.also


def _without_bf16() -> str | None:
    return "this CPU has no bf16 instructions and emulates them" if has("bf16") is False else None


def _no_bf16_cores() -> str | None:
    major, minor = torch.cuda.get_device_capability()
    if major < 8:
        return f"bf16 needs compute capability 8.0, this GPU has {major}.{minor}"
    return COMPILERS["default"].why_not("cuda")


def _no_dependent_launch() -> str | None:
    major, minor = torch.cuda.get_device_capability()
    if major < 9:
        return f"programmatic dependent launch needs compute capability 9.0, this GPU has {major}.{minor}"
    return COMPILERS["default"].why_not("cuda")


_uncompiled = {device: functools.partial(COMPILERS["default"].why_not, device) for device in ("cpu", "cuda")}

TUTORIAL = LadderRow("tutorial", steps.tutorial, "")
WORKERS = LadderRow("workers", steps.workers, "waiting for images: other processes decode them")
DECODED_ONCE = LadderRow("decoded once", steps.decoded_once, "decoding: PIL images and ToTensor, 60,000 per epoch")
INDEX_SELECT = LadderRow("index_select", steps.index_select, "collecting a batch from 64 tensors in Python")

STEPS = {
    "cpu": (
        TUTORIAL,
        WORKERS,
        DECODED_ONCE,
        INDEX_SELECT,
        LadderRow("fused Adam", steps.fused_adam, "34 of a step's 75 operator calls, the optimizer's"),
        LadderRow("one thread", steps.one_thread, "handing pieces of small operators to another core"),
        LadderRow(
            "by hand",
            steps.by_hand,
            "autograd, modules and the optimizer's Python; one tensor instead of four",
            also=(steps.written_out,),
        ),
        LadderRow(
            "compiled",
            steps.compiled,
            "the calls of single operators",
            _uncompiled["cpu"],
            (steps.generated, steps.pure_step),
        ),
        LadderRow("bf16", steps.bf16, "half of the bytes, where the CPU has the instructions", _without_bf16),
        LadderRow(
            "one function in C",
            native.one_function,
            "Python, all calls, and the arithmetic on black pixels",
            native.why_not,
            (native.SOURCE,),
        ),
    ),
    "cuda": (
        TUTORIAL,
        WORKERS,
        DECODED_ONCE,
        INDEX_SELECT,
        LadderRow(
            "resident", steps.resident, "copies to the GPU: all images lie there, and batches are gathered there"
        ),
        LadderRow("fused Adam", steps.fused_adam, "most of the optimizer's launches"),
        LadderRow("same thread", steps.same_thread, "waking autograd's thread for each backward pass, and being woken"),
        LadderRow(
            "graph a step",
            graphs.graph_a_step,
            "Python and all launches of a step but one",
            also=(graphs.reference_steps, graphs.replayed_steps, capture),
        ),
        LadderRow(
            "graph an epoch",
            graphs.graph_an_epoch,
            "Python and all launches of an epoch but one",
            also=(graphs.reference_steps, graphs.replayed_epochs, capture),
        ),
        LadderRow(
            "by hand",
            graphs.by_hand_in_a_graph,
            "kernels of autograd; one tensor for Adam instead of four",
            also=(steps.written_out, graphs.replayed_epochs, capture),
        ),
        LadderRow(
            "compiled",
            graphs.compiled_in_a_graph,
            "a kernel an operator: those that can be are made one",
            _uncompiled["cuda"],
            (steps.generated, steps.pure_step, graphs.replayed_epochs, capture),
        ),
        LadderRow(
            "bf16",
            graphs.bf16_in_a_graph,
            "half of the products' bytes, on tensor cores",
            _no_bf16_cores,
            (steps.generated, steps.pure_step, graphs.replayed_epochs, capture),
        ),
        LadderRow(
            "two kernels",
            graphs.two_kernels,
            "all kernels of a step but two, and gradients in memory",
            _uncompiled["cuda"],
            (KERNELS, graphs.replayed_epochs, capture),
        ),
        LadderRow(
            "dependent launch",
            graphs.two_kernels_early,
            "what is left of waiting for a launch: a kernel begins before the one before it ends",
            _no_dependent_launch,
            (KERNELS, graphs.replayed_epochs, capture),
        ),
        LadderRow(
            "one kernel in Triton",
            persistent.in_triton,
            "all kernels of an epoch but one: weights stay in registers",
            persistent.triton_why_not,
            (PERSISTENT_KERNEL, persistent.Resident.learn),
        ),
        LadderRow(
            "one kernel in C++",
            persistent.in_cuda,
            "most of what threads of a block wait for each other",
            persistent.why_not,
            (persistent.SOURCE, persistent.queue, persistent.Resident.learn),
        ),
    ),
}
PEERS = (
    LadderRow("scikit-learn", peers.scikit_learn, "peer: MLPClassifier", peers.missing("sklearn", "scikit-learn")),
    LadderRow("JAX", peers.jax_scan, "peer: jit + scan", peers.missing("jax", "'.[peers]'")),
)


def rows(device: str) -> tuple[LadderRow, ...]:
    """The device's steps, then the peers."""
    return (*STEPS[device], *PEERS)


def lines_changed(row: LadderRow, device: str) -> int | None:
    """Lines of the step's code that the one before it does not have; None for the first and for peers."""
    ladder = STEPS[device]
    at = next((number for number, one in enumerate(ladder) if one is row), 0)
    if at == 0:
        return None
    before, after = _code(ladder[at - 1]), _code(row)
    kept = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return len(after) - sum(block.size for block in kept)


def _code(row: LadderRow) -> list[str]:
    """The lines of a step's functions and files, without the functions' heads, docstrings and comments."""
    return [line for one in (row.make, *row.also) for line in _lines(one)]


@functools.cache
def _lines(one: Callable[..., Any] | Path) -> list[str]:
    if isinstance(one, Path):
        return [line for line in one.read_text("utf-8").splitlines() if line.strip()]
    function = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
    assert isinstance(function, ast.FunctionDef)
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return [line for statement in body for line in ast.unparse(statement).splitlines()]
