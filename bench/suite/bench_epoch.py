"""Throughput of an epoch, by feed."""

from collections.abc import Callable

Run = Callable[[str], None]


def bench_epoch(planned: str, run_case: Run) -> None:
    """Every training image once, data feed included."""
    run_case(planned)
