"""What torch.compile does while a case is measured, and why: graphs, breaks, recompilations, CUDA graphs refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass
class Compiled:
    """Filled when the context of `compilations` ends; the fields are those of a record's `Compilation`."""

    graphs: int = 0
    graph_break_reasons: list[str] = field(default_factory=list)
    recompile_reasons: list[str] = field(default_factory=list)
    cuda_graph_skip_reasons: list[str] = field(default_factory=list)


@contextlib.contextmanager
def compilations() -> Iterator[Compiled]:
    """Watches torch.compile inside the context."""
    from torch._dynamo.utils import clear_compilation_metrics, counters, get_compilation_metrics

    compiled = Compiled()
    breaks = dict(counters["graph_break"])
    graphs = graphs_compiled()
    clear_compilation_metrics()
    try:
        yield compiled
    finally:
        metrics = get_compilation_metrics()
        compiled.graphs = graphs_compiled() - graphs
        compiled.graph_break_reasons = [
            _first_line(reason)
            for reason, count in counters["graph_break"].items()
            for _ in range(count - breaks.get(reason, 0))
        ]
        compiled.recompile_reasons = _reasons(metric.recompile_reason for metric in metrics)
        compiled.cuda_graph_skip_reasons = _reasons(metric.cudagraph_skip_reason for metric in metrics)


def _reasons(reasons: Iterable[str | None]) -> list[str]:
    return [_first_line(reason) for reason in reasons if reason]


def _first_line(reason: str) -> str:
    return reason.strip().splitlines()[0]


def graphs_compiled() -> int:
    """Graphs that torch.compile has made in this process so far."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])
