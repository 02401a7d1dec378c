"""Exact counters of one repetition: what it calls, computes, moves and keeps. Never used in a timed block.

They are the same on every repeat and on every machine of one kind, so a change of the program shows in them without
any noise.
"""

from __future__ import annotations

import collections
import contextlib
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.clock import Clock
from bench.measure.device_work import NOT_SEEN, device_work, quiet_profiler
from bench.record.measurement import Counters

if TYPE_CHECKING:
    from fcnn.train import Training

GROWTH_REPETITIONS = 100
GROWTH_REPETITION_SECONDS = 0.01  # of longer ones, 100 would take too long for what they tell
# Operators whose result the host reads: it waits until the device that computes has caught up.
SYNCHRONISING = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "_unique2", "masked_select")
COPYING = ("_to_copy", "copy_")


class _Watch(TorchDispatchMode):
    """Sees every ATen call below autograd, the backward pass's included; `device` is the training's, by torch's name.

    Adam keeps its count of steps on the host, also where it trains on a GPU: to read that is to wait for nothing.
    """

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.calls: collections.Counter[str] = collections.Counter()
        self.allocations = self.live_bytes = self.peak_bytes = 0
        self.synchronisations = self.copies = self.copied_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = _tensors((args, kwargs))
        known = {_storage_key(tensor) for tensor in inputs}
        result = func(*args, **(kwargs or {}))
        outputs = _tensors(result)
        typed = (outputs or inputs)[:1]
        name = func.overloadpacket.__name__
        self.calls[" ".join([f"aten::{name}", *(str(tensor.dtype).removeprefix("torch.") for tensor in typed)])] += 1
        self.synchronisations += name in SYNCHRONISING and any(t.device.type == self.device for t in inputs)
        if name in COPYING and inputs and outputs:
            self._note_copy(source=inputs[-1], target=outputs[0])
        for output in outputs:
            if _storage_key(output) not in known:
                known.add(_storage_key(output))
                self._note_allocation(output)
        return result

    def _note_copy(self, source: Tensor, target: Tensor) -> None:
        if source.device.type != target.device.type:
            self.copies += 1
            self.copied_bytes += target.numel() * target.element_size()
            self.synchronisations += target.device.type == "cpu"

    def _note_allocation(self, output: Tensor) -> None:
        storage = output.untyped_storage()
        size = storage.nbytes()
        self.allocations += 1
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.live_bytes -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage_key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def count(
    repeat: Callable[[], object],
    training: Training,
    clock: Clock,
    *,
    compiled: bool = False,
    growth: bool = True,
    captured_from: Callable[[], object] | None = None,
) -> Counters:
    """Counts one repetition after a few that are not counted.

    Args:
        repeat: The repetition, as it was timed.
        training: The training it works on; its parameters, gradients and optimizer state are measured. Of a program of
            the user's own that does not show them, its optimizer has None for `param_groups` or `state`.
        clock: The device that it runs on.
        compiled: Whether the model is compiled. Its Python runs instead where every call is watched, which is right
            for FLOPs and bytes; the calls are then read off a profile, without their types.
        growth: Whether to see what 100 repetitions leave behind, too.
        captured_from: What `repeat` replays as a CUDA graph; None if it replays none. A replay computes without a
            call that could be watched, so this runs instead, as the Python of what is compiled does.
    """
    watched = captured_from or repeat
    for _ in range(3):
        repeat()
    with python_instead(), _Watch(training.device.type) as watch:
        watched()
    groups, state = training.optimizer.param_groups, training.optimizer.state
    parameters = [p for group in groups or () for p in group["params"]]
    work = device_work(repeat, clock)
    return Counters(
        aten_calls=dict(sorted((profiled_calls(repeat) if compiled or captured_from else watch.calls).items())),
        flops=flops_of(watched),
        parameter_bytes=None if groups is None else _bytes(parameters),
        gradient_bytes=None if groups is None else _bytes([p.grad for p in parameters if p.grad is not None]),
        optimizer_state_bytes=None if state is None else _bytes(_tensors(list(state.values()))),
        saved_tensor_bytes=saved_tensor_bytes(watched, parameters),
        allocations=watch.allocations,
        peak_allocated_bytes=watch.peak_bytes,
        host_synchronisations=watch.synchronisations,
        host_device_copies=watch.copies,
        host_device_copied_bytes=watch.copied_bytes,
        growth_bytes=growth_bytes(watched) if growth else None,
        kernels_launched=work.kernels_launched if work else None,
        cuda_graph_launches=work.cuda_graph_launches if work else None,
        kernels_reason=NOT_SEEN if work is None and clock.device.torch_name == "cuda" else None,
    )


def flops_of(repeat: Callable[[], object]) -> int:
    """The floating-point operations of a repetition's matrix products and convolutions."""
    with python_instead(), warnings.catch_warnings(), FlopCounterMode(display=False) as flops:
        # Its hooks on modules fire twice for a compiled one; only the depth of its table, which is not shown, minds.
        warnings.filterwarnings("ignore", "Using `torch.compile\\(module\\)` when there are global hooks")
        repeat()
    return int(flops.get_total_flops())


def python_instead() -> contextlib.AbstractContextManager[None]:
    """Runs the Python of what is compiled, which torch does by itself where every call is watched.

    But torch 2.11 then also compiles those who watch, and goes on without compiled code when they are gone.
    """
    return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]


def profiled_calls(repeat: Callable[[], object]) -> collections.Counter[str]:
    """By name, from a profile: the ATen calls that no other ATen call made, and the entries into compiled regions.

    What a compiled region calls by itself, such as the matrix products that it leaves to ATen, counts as well.
    """
    with quiet_profiler(torch.profiler.ProfilerActivity.CPU) as profile:
        repeat()
    return collections.Counter(
        event.name
        for event in profile.events() or []
        if event.name.startswith(("aten::", "Torch-Compiled Region")) and not _within_a_call(event)
    )


def _within_a_call(event: Any) -> bool:
    parent = event.cpu_parent
    return parent is not None and (parent.name.startswith("aten::") or _within_a_call(parent))


def _bytes(tensors: list[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def saved_tensor_bytes(repeat: Callable[[], object], parameters: list[Tensor]) -> int:
    """Bytes that a repetition's forward pass keeps for its backward pass; parameters, which are kept anyway, not."""
    kept = {_storage_key(p) for p in parameters}
    seen = set()
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        # Its own bytes and not its storage's: a batch may be a slice of all images.
        key = tensor.data_ptr(), tensor.numel()
        if _storage_key(tensor) not in kept and key not in seen:
            seen.add(key)
            total += tensor.numel() * tensor.element_size()
        return tensor

    with python_instead(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        repeat()
    return total


def growth_bytes(repeat: Callable[[], object], repetitions: int = GROWTH_REPETITIONS) -> int:
    """Bytes that stay allocated after so many repetitions: 0 unless something is kept that should not be."""
    with python_instead(), _Watch("cpu") as watch:
        repeat()
        before = watch.live_bytes
        for _ in range(repetitions):
            repeat()
        return int(watch.live_bytes - before)
