"""How long a case will take, from a probe of a second: the plan's expected time, and the time left."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.axes import matrix
from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.counters import GROWTH_REPETITION_SECONDS, GROWTH_REPETITIONS
from bench.measure.facts import NUMBER_FORMATS, has

if TYPE_CHECKING:
    from fcnn.data import Images


@dataclass(frozen=True)
class Rates:
    """What the probe saw: seconds a step (fixed part, and part an image) by device, and the loader's per image."""

    step_seconds: dict[str, tuple[float, float]]
    loader_seconds_per_image: float


def probe(images: Images, devices: set[str]) -> Rates:
    """Times a few training steps of two sizes on each device, and a few batches of the tutorial's loader."""
    from bench.suite import workloads
    from fcnn.data import loader

    rates = {}
    small, large = 16, min(4096, len(images.train))
    for device in devices:
        seconds = []
        for batch_size in (small, large):
            case = Case(
                "step",
                device,
                batch_size,
                "fp32",
                "off",
                "adam",
                "resident",
                threads=settings.default_threads(),
            )
            settings.apply(case)
            repeat, clock = workloads.step(case, images).repeat, Clock(DEVICES[device])
            for _ in range(3):
                clock.time_block(repeat, 5)
            seconds.append(min(clock.time_block(repeat, 10).host_seconds / 10 for _ in range(8)))
        slope = max(0.0, (seconds[1] - seconds[0]) / (large - small))
        rates[device] = (max(seconds[0] - slope * small, 1e-6), slope)
    batches = iter(loader(images.train, 64, shuffle=True))
    next(batches)
    begin = time.perf_counter()
    count = sum(len(labels) for _, labels in itertools.islice(batches, 12))
    per_image = (time.perf_counter() - begin) / max(count, 1)
    return Rates(rates, per_image)


COMPILE_SECONDS = 13.0  # of a compiled case, the fresh process included: seen on AVX2 and AVX-512 servers alike
# Of the minute and of the three minutes: the probe and the images come before, and not every machine is quiet.
PLAN_SECONDS = {"quick": 50.0, "suite": 120.0}

MARKED_SECONDS = 2.0  # of a long epoch are taken apart


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        step_seconds: Most seconds of samples a step case.
        epochs: Fewest epochs timed an epoch case.
        seeds: Seeds an accuracy case.
        thorough: Whether to look for memory that 100 repetitions leave behind, and for the energy they take.
    """

    step_seconds: float = 1.0
    epochs: int = 5
    seeds: int = 5
    thorough: bool = True

    def words(self, prefix: str = "") -> list[str]:
        """The options that ask for this effort and no other, with a prefix where they are pytest's."""
        values = {"budget": repr(self.step_seconds), "epochs": str(self.epochs), "seeds": str(self.seeds)}
        return [word for name, value in values.items() for word in (f"--{prefix}{name}", value)]

    @property
    def epoch_seconds(self) -> float:
        """Most seconds of samples an epoch case, unless its fewest epochs take longer."""
        return 4 * self.step_seconds

    def and_less(self) -> Iterator[Effort]:
        """This effort and then smaller and smaller ones, for a plan that has a time limit."""
        yield self
        for share, epochs, seeds in ((0.8, 5, 5), (0.7, 4, 5), (0.5, 4, 4), (0.4, 3, 3), (0.25, 3, 3)):
            yield dataclasses.replace(
                self,
                step_seconds=self.step_seconds * share,
                epochs=min(epochs, self.epochs),
                seeds=min(seeds, self.seeds),
            )


def wanted(options: dict[str, Any], plan: str) -> Effort:
    """The effort that `options` ask for, as `bench.axes.matrix` names them."""
    return Effort(options["budget"] or Effort.step_seconds, options["epochs"], options["seeds"], plan != "quick")


def fit(cases: dict[str, Case], images: Images, options: dict[str, Any], plan: str) -> tuple[Effort, dict[str, float]]:
    """The largest effort with which `cases` keep to the plan's time, and the seconds that each of them will take.

    Args:
        cases: The cases that can be measured here, by id.
        images: The images of the run.
        options: As `bench.axes.matrix` names them. A matrix or a budget of the user's own has no limit.
        plan: The plan whose limit it is.
    """
    limit = PLAN_SECONDS[plan] if matrix.is_planned(options) and options["budget"] is None else math.inf
    devices = {case.device for case in cases.values()}
    rates = probe(images, devices)
    for effort in wanted(options, plan).and_less():
        expected = {id: expected_seconds(case, len(images.train), effort, rates) for id, case in cases.items()}
        if sum(expected.values()) + overhead_seconds(len(devices)) <= limit:
            break
    return effort, expected


def expected_seconds(case: Case, train_images: int, effort: Effort, rates: Rates) -> float:
    """Seconds that measuring `case` will take, setting-up and warm-up included."""
    fixed, per_image = rates.step_seconds[case.device]
    if case.device == "cpu" and case.precision in NUMBER_FORMATS and has(case.precision) is False:
        per_image *= EMULATION
    compile_seconds = 0.0 if case.compiler == "off" else COMPILE_SECONDS
    epoch = math.ceil(train_images / case.batch_size) * fixed + train_images * per_image
    if case.feed == "loader":
        epoch += train_images * rates.loader_seconds_per_image
    if case.workload == "accuracy":
        # An epoch and, for the seeds that are not yet there, some more; the evaluations are about as long again.
        return compile_seconds + 0.5 + effort.seeds * 1.6 * epoch
    if case.workload == "epoch":
        # The samples, and a part of them once more, with marks and without.
        marked = 2 * min(epoch, MARKED_SECONDS)
        return compile_seconds + 0.8 + marked + max(effort.epochs * epoch, min(effort.epoch_seconds, 40 * epoch))
    # Setting up, warming up and counting; a quiet machine needs about half of the budget for its samples.
    step = fixed + per_image * case.batch_size
    growth = GROWTH_REPETITIONS * step if effort.thorough and step <= GROWTH_REPETITION_SECONDS else 0.0
    return compile_seconds + 0.7 + 0.5 * effort.step_seconds + 50 * step + growth


EMULATION = 8.0  # a number format that the CPU lacks, per image: 6 times fp32 for bf16 and 12 for fp16 on AVX2


def overhead_seconds(devices: int) -> float:
    """Seconds of a run that belong to no case: the yardsticks before and after, and writing the report."""
    return 4.5 * devices + 2.0
