"""The optimizer axis: the implementations of Adam. All compute the same update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Optimizer:
    """An implementation of `torch.optim.Adam`, chosen by its `options`."""

    name: str
    meaning: str
    options: Mapping[str, bool] = field(default_factory=dict)


OPTIMIZERS = {
    row.name: row
    for row in (
        Optimizer("adam", "torch's own choice: a loop over tensors on the CPU, foreach on CUDA"),
        Optimizer("foreach", "one call an operation for all tensors", {"foreach": True}),
        Optimizer("fused", "one kernel for the whole update", {"fused": True}),
    )
}
