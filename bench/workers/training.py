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
from bench.measure.clock import Clock
from bench.workers.workloads import Batch, evaluation_batches, first_batches, learning, make_training
from fcnn.train import Training, evaluate

if TYPE_CHECKING:
    from fcnn.data import Images, TensorBatches

TARGET_FRACTION = 0.93
EPOCHS = 1
MAX_EPOCHS = 3  # how long to go on looking for the target
WARM_SEED = 1 << 30
STEPS_BETWEEN_EVALUATIONS = 50


@dataclass(frozen=True)
class Trained:
    """One seed's training: time for `EPOCHS` epochs, accuracies after them, time to the target (None: not reached)."""

    seconds: float
    test_accuracy_fraction: float
    train_accuracy_fraction: float
    seconds_to_target: float | None


def train_from(
    seed: int,
    training: Training,
    learn: Callable[..., float],
    case: Case,
    images: Images,
    clock: Clock,
    evaluation: dict[str, TensorBatches],
) -> Trained:
    """Trains a fresh `training` by `learn` in the order of `seed`, stopping the clock at every evaluation."""
    feed = FEEDS[case.feed].batches(images, case, seed)
    seconds, to_target, at_end = 0.0, None, None
    for number in range(1, MAX_EPOCHS + 1):
        # Lazy, so that starting the feed and fetching every batch fall into the timed blocks.
        stream = itertools.chain.from_iterable([feed])
        for _ in range(math.ceil(len(feed) / STEPS_BETWEEN_EVALUATIONS)):
            # train_epoch is the only loop there is; a run of steps between two evaluations is a short epoch to it.
            run = functools.partial(learn, itertools.islice(stream, STEPS_BETWEEN_EVALUATIONS))
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


class Trainings:
    """An accuracy case: trainings from one seed after another, each from a fresh model."""

    def __init__(self, case: Case, images: Images, clock: Clock) -> None:
        self._case, self._images, self._clock = case, images, clock
        self._evaluation = evaluation_batches(images, case.device)
        self._met: dict[int, Batch] = {}  # a batch of each size

    def warm_up(self) -> None:
        """A short training from a seed that no other has takes the lazy initialisation, which none should pay for."""
        warm = make_training(self._case, seed=WARM_SEED)
        feed = FEEDS[self._case.feed].batches(self._images, self._case, WARM_SEED)
        batches = first_batches(feed, self._case, self._images)
        self._met = {len(labels): (images, labels) for images, labels in batches}
        learning(self._case, warm)(batches)
        for kept in self._evaluation.values():  # of sizes of their own, for which a compiled model has graphs
            evaluate(warm.model, kept, warm.device)

    def train(self, seed: int) -> Trained:
        """The training from `seed`."""
        training = make_training(self._case, seed)
        # What is captured belongs to one training's weights; like compiling, it comes before the clock starts.
        learn = learning(self._case, training, self._met.values())
        return train_from(seed, training, learn, self._case, self._images, self._clock, self._evaluation)
