"""The accuracy workload: trainings from several seeds, with the time each takes to 93%."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.axes.case import Case
from bench.axes.feeds import FEEDS
from bench.measure.clock import Clock, garbage_collector_off
from bench.record.model import Accuracy
from bench.suite.workloads import evaluation_batches, first_batches, make_training
from fcnn.train import Training, evaluate, train_epoch

if TYPE_CHECKING:
    from fcnn.data import Images, TensorBatches

TARGET_FRACTION = 0.93
EPOCHS = 1
MAX_EPOCHS = 3  # how long to go on looking for the target
STEPS_BETWEEN_EVALUATIONS = 50


@dataclass(frozen=True)
class Trained:
    """One seed's training: time for `EPOCHS` epochs, accuracies after them, time to the target (None: not reached)."""

    seconds: float
    test_accuracy_fraction: float
    train_accuracy_fraction: float
    seconds_to_target: float | None


def train_from(
    seed: int, training: Training, case: Case, images: Images, clock: Clock, evaluation: dict[str, TensorBatches]
) -> Trained:
    """Trains a fresh `training` in the order of `seed`, stopping the clock at every evaluation."""
    feed = FEEDS[case.feed].batches(images, case, seed)
    seconds, to_target, at_end = 0.0, None, None
    for number in range(1, MAX_EPOCHS + 1):
        # Lazy, so that starting the feed and fetching every batch fall into the timed blocks.
        stream = itertools.chain.from_iterable([feed])
        for _ in range(math.ceil(len(feed) / STEPS_BETWEEN_EVALUATIONS)):
            # train_epoch is the only loop there is; a run of steps between two evaluations is a short epoch to it.
            run = functools.partial(train_epoch, training, itertools.islice(stream, STEPS_BETWEEN_EVALUATIONS))
            seconds += clock.time_block(run, 1).host_seconds
            if to_target is None:
                test = evaluate(training.model, evaluation["test"], training.device)
                to_target = seconds if test >= TARGET_FRACTION else None
        if number == EPOCHS:
            at_end = (
                seconds,
                evaluate(training.model, evaluation["test"], training.device),
                evaluate(training.model, evaluation["train"], training.device),
            )
        if at_end and to_target is not None:
            break
    assert at_end is not None  # EPOCHS <= MAX_EPOCHS
    return Trained(*at_end, seconds_to_target=to_target)


def train_seeds(
    case: Case,
    images: Images,
    clock: Clock,
    count: int,
    when_warm: Callable[[], object] = lambda: None,
) -> tuple[list[float], Accuracy, Training]:
    """Trains from seeds 0 to count - 1; the seconds of each training, the accuracies, and the last seed's training.

    A short training from another seed goes first: it takes the lazy initialisation, which no seed should pay for. Then
    `when_warm` is called.
    """
    evaluation = evaluation_batches(images, case.device)
    warm = make_training(case, seed=count)
    train_epoch(warm, first_batches(FEEDS[case.feed].batches(images, case, count), case, images))
    for batches in evaluation.values():  # each has batches of its own sizes, for which a compiled model has graphs
        evaluate(warm.model, batches, warm.device)
    when_warm()
    trained = []
    with garbage_collector_off():
        for seed in range(count):
            training = make_training(case, seed)
            trained.append(train_from(seed, training, case, images, clock, evaluation))
    accuracy = Accuracy(
        seeds=list(range(count)),
        epochs=EPOCHS,
        test_accuracy_fraction=[one.test_accuracy_fraction for one in trained],
        train_accuracy_fraction=[one.train_accuracy_fraction for one in trained],
        target_fraction=TARGET_FRACTION,
        max_epochs=MAX_EPOCHS,
        seconds_to_target=[one.seconds_to_target for one in trained],
    )
    return [one.seconds for one in trained], accuracy, training
