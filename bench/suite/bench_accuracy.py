"""Test accuracy over seeds, and the time to 93%."""

from collections.abc import Callable

Run = Callable[[str], None]


def bench_accuracy(planned: str, run_case: Run) -> None:
    """One epoch from each seed; training goes on, at most three epochs, until the test accuracy reaches 93%."""
    run_case(planned)
