"""The training step and its parts."""

from collections.abc import Callable

Run = Callable[[str], None]


def bench_forward(planned: str, run_case: Run) -> None:
    """Scores and loss."""
    run_case(planned)


def bench_forward_backward(planned: str, run_case: Run) -> None:
    """Scores, loss and gradients."""
    run_case(planned)


def bench_optimizer(planned: str, run_case: Run) -> None:
    """Adam's update."""
    run_case(planned)


def bench_step(planned: str, run_case: Run) -> None:
    """All seven parts of `fcnn.train.train_step`."""
    run_case(planned)
