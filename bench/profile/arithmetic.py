"""How much arithmetic each call of a step does: matrix products and convolutions, by torch's own formulas.

torch's profiler has a formula for the forward convolution alone, and puts the result into a row without time of its
own: the work is done some calls further down. So the calls are watched, as `FlopCounterMode` does, and what each does
is given to the call of the recording that took the time.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.measure.counters import python_instead


class _Calls(TorchDispatchMode):
    """Watches calls that have a formula; by the profiler's name of each, the FLOPs of its calls in their order."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops: dict[str, list[int]] = collections.defaultdict(list)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(getattr(func, "_overloadpacket", func))
        if formula is None and isinstance(func, OpOverload):
            with self:  # as in inference, where what is made of other calls is not taken apart before it comes here
                decomposed = func.decompose(*args, **kwargs)
            if decomposed is not NotImplemented:
                return decomposed
        out = func(*args, **kwargs)
        if formula is not None:
            self.flops[func.name().partition(".")[0]].append(int(formula(*args, **kwargs, out_val=out)))
        return out


def flops_of_calls(step: Callable[[], object]) -> dict[str, list[int]]:
    """FLOPs of each call of one step that has a formula, by its name and in order; of compiled code, of its Python."""
    with python_instead(), _Calls() as calls:
        step()
    return dict(calls.flops)


def flops_by_event(events: Sequence[Any], known: Mapping[str, Sequence[int]], steps: int) -> dict[int, int]:
    """By the `id()` of an event of the profiler, the FLOPs that it did itself.

    Args:
        events: The host's events of some steps, as torch's profiler has them.
        known: What `flops_of_calls` says of one step.
        steps: How many there are; a name that was called another number of times, as compiled code may, is left out.
    """
    outermost = collections.defaultdict(list)
    for event in sorted(events, key=lambda event: event.time_range.start):
        if event.name in known and not _within(event, known):
            outermost[event.name].append(event)
    done: collections.Counter[int] = collections.Counter()
    for name, calls in outermost.items():
        if len(calls) == steps * len(known[name]):
            for number, flops in enumerate(known[name]):
                for event in _busiest(calls[number :: len(known[name])]):
                    done[id(event)] += flops
    return done


def _within(event: Any, known: Mapping[str, Any]) -> bool:
    parent = event.cpu_parent
    return parent is not None and (parent.name in known or _within(parent, known))


def _busiest(calls: Sequence[Any]) -> tuple[Any, ...]:
    """Of a call, in every step, and all that it leads to: what takes the most time itself even in its quickest step."""
    same = zip(*map(_tree, calls), strict=False)
    return max(same, key=lambda each: min((one.self_device_time_total, one.self_cpu_time_total) for one in each))


def _tree(event: Any) -> list[Any]:
    return [event, *(below for child in event.cpu_children for below in _tree(child))]
