"""What things take that a run does, in seconds: by them it is planned, and says how long it will take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from bench.suite.own import Facts
from bench.workers.start import FORKS

EMPTY_COMPILE_SECONDS = 3.0  # of a step with nothing to do, where another was compiled before: an EPYC and an H200
# Of a turn. What disturbs lasts: beside busy neighbours, the second 5 ms of a block correlated with the first by 0.7,
# and still by 0.2 with what came 0.15 s later. So more and shorter turns tell more than fewer and longer ones, as long
# as what comes before each does not take most of the time.
BLOCK_SECONDS = 6e-3
# Of repetitions before a block. After a single one, the first 5 ms of a block took 3% longer than the later ones (2 to
# 6% by case), the next 5 ms 0.4%.
LEAD_SECONDS = 5e-3
# Of an epoch in the quick plan, where it takes more than twice that: the tutorial's loader takes 4 to 10 s for one, as
# long for every image, and three of them on each of two devices were half of the minute.
PART_SECONDS = 0.8
CAPTURED = 0.15  # of a step's part that does not depend on the batch, where no Python runs: 147 of 1,000 us on an H200
EMULATION = 8.0  # a number format that the CPU lacks, per image: 6 times fp32 for bf16 and 12 for fp16 on AVX2
# For a process to be there and to have gone: forked, or, where none can be, with torch imported afresh (on an EPYC).
FORK_SECONDS, FRESH_SECONDS = 0.2, 4.0
# Of each training in fp32, in a thorough run: starting does not depend on the number format.
START_UPS, START_UP_SECONDS = 3, 5.0
MARKED_SECONDS = 2.0  # of what is taken apart, in a thorough run
BREAKDOWN_SECONDS = 0.4  # of a step and the same with nothing to do, by turns and in a profile: seen on an EPYC
GROUPS = ("steps", "epochs", "trainings")


@dataclass(frozen=True)
class Costs:
    """Seconds that a device takes besides the repetitions.

    Attributes:
        context: In each process, before its first operation is done.
        prepare: Of a step's case in each process: built and warmed.
        calibrate: Of its calibrations, once.
        energy: Of a case in a thorough run, where the device has a counter of its energy that everyone may read.
        compile: Of a compiled case from cold, the fresh process included.
        compiled: Of one that is in the compilers' cache, in each process.
    """

    context: float
    prepare: float
    calibrate: float
    energy: float
    compile: float
    compiled: float


# Compilations of C++ as seen on AVX2 and AVX-512 alike; an accelerator's costs are those of an H200.
CPU_COSTS = Costs(context=0.0, prepare=0.015, calibrate=2.0, energy=0.0, compile=13.0, compiled=3.0)
ACCELERATOR_COSTS = Costs(context=0.5, prepare=0.035, calibrate=3.7, energy=2.0, compile=7.5, compiled=0.8)


def costs_of(device: str) -> Costs:
    """Those of a device by its name."""
    return CPU_COSTS if device == "cpu" else ACCELERATOR_COSTS


def start_seconds() -> float:
    """For a worker to be there and to have gone."""
    return FORK_SECONDS if FORKS else FRESH_SECONDS


def group_of(case: Case) -> str:
    """The group whose rounds the case is in: what repeats a step, an epoch or a training."""
    repetition = WORKLOADS[case.workload].repetition
    return {"step": "steps", "epoch": "epochs"}.get(repetition, "trainings")


def groups(cases: Mapping[str, Case]) -> dict[str, dict[str, Case]]:
    """The cases of each group that has some, in the order in which groups are measured."""
    by_group = {name: {id: case for id, case in cases.items() if group_of(case) == name} for name in GROUPS}
    return {name: members for name, members in by_group.items() if members}


@dataclass(frozen=True)
class Rates:
    """What the survey saw.

    Attributes:
        step_seconds: By device, the part of a step that does not depend on the batch, and the part an image.
        loader_seconds_per_image: Of the tutorial's loader.
        emulated: Precisions that the CPU has no instructions for.
        own: By case, what is known of a program of the user's own, in place of all the others.
    """

    step_seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    loader_seconds_per_image: float = 0.0
    emulated: Sequence[str] = ()
    own: Mapping[Case, Facts] = field(default_factory=dict)


def starts(case: Case) -> bool:
    """Whether it is started from nothing, too."""
    return case.workload == "accuracy" and case.precision == "fp32"


def start_up_seconds(case: Case) -> float:
    """Its starts from nothing, all of them."""
    return START_UPS * START_UP_SECONDS if starts(case) else 0.0


def compile_seconds(case: Case) -> float:
    """Compiling it from cold."""
    return costs_of(case.device).compile if COMPILERS[case.compiler].mode else 0.0


def repetition_seconds(case: Case, train_images: int, rates: Rates) -> float:
    """Seconds of one repetition: of a step, an epoch or a training."""
    if case in rates.own:
        return rates.own[case].repetition_seconds
    fixed, per_image = rates.step_seconds[case.device]
    if COMPILERS[case.compiler].captured:
        fixed *= CAPTURED
    if case.device == "cpu" and case.precision in rates.emulated:
        per_image *= EMULATION
    step = fixed + per_image * case.batch_size
    if group_of(case) == "steps":
        return step
    epoch = math.ceil(train_images / case.batch_size) * fixed + train_images * per_image
    if case.feed == "loader":
        epoch += train_images * rates.loader_seconds_per_image
    # An epoch and, for the seeds that are not yet there, some more; the evaluations are about as long again.
    return epoch if case.workload == "epoch" else 1.6 * epoch


def in_part(case: Case, epoch_seconds: float) -> float:
    """What is timed of an epoch, of which a part may be enough."""
    return PART_SECONDS if epoch_seconds > 2 * PART_SECONDS and not case.num_workers else epoch_seconds


def devices_of(cases: Mapping[str, Case]) -> set[str]:
    """The devices that the cases are on."""
    return {case.device for case in cases.values()}


def context_seconds(cases: Mapping[str, Case]) -> float:
    """Until the devices can be used, in each process."""
    return sum(costs_of(device).context for device in devices_of(cases))


def wake_seconds(cases: Mapping[str, Case], group: str) -> float:
    """Of a round: a device had nothing to do while it was another's turn."""
    devices = devices_of(cases)
    return sum(DEVICES[device].wake_seconds for device in devices) if group == "steps" and len(devices) > 1 else 0.0


def turn_seconds(group: str, seconds: float) -> float:
    """A case's turn in a round, of repetitions of so many seconds."""
    if group != "steps":
        return seconds
    return max(1, math.ceil(BLOCK_SECONDS / seconds)) * seconds + max(seconds, LEAD_SECONDS)


def made_seconds(cases: Iterable[Case], rates: Rates) -> float:
    """What programs of the user's own take to be made, with what they load, in each process."""
    return sum(rates.own[case].made_seconds for case in cases if case in rates.own)


def prepare_seconds(case: Case, group: str, seconds: float) -> float:
    """Until a process has made and warmed a case."""
    compiled = costs_of(case.device).compiled if COMPILERS[case.compiler].mode else 0.0
    if group != "steps":
        return compiled + 0.3
    # A few repetitions, and the turn in a round that does not count.
    return costs_of(case.device).prepare + compiled + 4 * seconds + turn_seconds(group, seconds)


def observe_seconds(case: Case, train_images: int, thorough: bool, rates: Rates) -> float:
    """Taking apart, counting and, if the run is thorough, looking for growth and energy."""
    seconds = repetition_seconds(case, train_images, rates)
    alone = BREAKDOWN_SECONDS
    if COMPILERS[case.compiler].mode:
        alone += costs_of(case.device).compiled + EMPTY_COMPILE_SECONDS
    if thorough and case.workload in ("step", "epoch"):
        alone += costs_of(case.device).energy
    if WORKLOADS[case.workload].repetition != "step":
        return alone + 1.5 + 2 * min(seconds, MARKED_SECONDS if thorough else MARKED_SECONDS / 4)
    return alone + 0.3 + 30 * min(seconds, 0.1) + (100 * seconds if thorough and seconds <= 0.01 else 0.0)
