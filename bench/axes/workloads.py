"""The workload axis: what one repetition is. How it is built stands in `bench.workers.workloads`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """What is timed.

    Attributes:
        repetition: What one repetition is, so that a sample's unit is seconds a `repetition`.
        default_feed: Where its images come from unless `--feed` says so.
    """

    name: str
    meaning: str
    repetition: str
    default_feed: str = "resident"


WORKLOADS = {
    row.name: row
    for row in (
        Workload("forward", "scores and loss, keeping what the backward pass needs", "step"),
        Workload("forward_backward", "forward, loss and the gradients", "step"),
        Workload("optimizer", "Adam's update alone", "step"),
        Workload("step", "the whole training step, from moving the batch to the update", "step"),
        Workload("epoch", "every training image once, data feed included", "epoch"),
        Workload("accuracy", "a training from a seed, evaluation not timed", "training"),
    )
}
