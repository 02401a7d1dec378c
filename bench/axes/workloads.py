"""The workload axis: what one repetition is. How it is built stands in `bench.workers.workloads`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """What is timed.

    Attributes:
        meaning: What a repetition does.
        repetition: What one is, so that a sample's unit is seconds per `repetition`: a step, an epoch or a training.
        forward: Whether it, or each of its steps, computes scores, and so has images.
        backward: Whether it computes gradients.
        update: Whether it updates the parameters.
        is_part: Whether it is a part of a step, or the step: they stand together in a table.
        title: Of a table of its own; empty where it has none, or `bench.report.tables` makes it.
        own: Whether it is of a program of the user's own, which decides itself what most axes choose.
    """

    name: str
    meaning: str
    repetition: str = "step"
    forward: bool = True
    backward: bool = False
    update: bool = False
    is_part: bool = False
    title: str = ""
    own: bool = False


WORKLOADS = {
    row.name: row
    for row in (
        Workload("forward", "scores and loss, keeping what the backward pass needs", is_part=True),
        Workload("forward_backward", "forward, loss and the gradients", backward=True, is_part=True),
        Workload("optimizer", "Adam's update alone", forward=False, update=True, is_part=True),
        Workload(
            "step",
            "the whole training step, from moving the batch to the update",
            backward=True,
            update=True,
            is_part=True,
        ),
        Workload("epoch", "every training image once, data feed included", "epoch", backward=True, update=True),
        Workload("accuracy", "a training from a seed, evaluation not timed", "training", backward=True, update=True),
        Workload("inference", "scores of one batch in eval mode without gradients", title="Inference"),
        Workload(
            "program",
            "a step of a program of your own (--program FILE)",
            backward=True,
            update=True,
            title="Your own program",
            own=True,
        ),
    )
}
STEP_WORKLOADS = tuple(row.name for row in WORKLOADS.values() if row.is_part)


def workload(name: str) -> Workload:
    """The row of that name; of a record's workload that is gone by now, one that says no more than that."""
    return WORKLOADS.get(name) or Workload(name, "a workload that this version does not have")
