"""What a run will do: which cases share rounds, in how many processes, how many rounds, and how long that takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.axes import matrix
from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS

COMPILE_SECONDS = 13.0  # of a compiled case from cold, the fresh process included: seen on AVX2 and AVX-512 alike
COMPILED_SECONDS = 3.0  # of one that is in the compilers' cache, in each process
# Of the minute and of the three minutes, less what the images and the report take.
PLAN_SECONDS = {"quick": 50.0, "suite": 165.0}
# Of rounds a step case, in a plan that has a limit: with less, intervals would tell nothing, whatever the limit.
LEAST_STEP_SECONDS, MOST_STEP_SECONDS = 0.8, 2.0
# Of a turn. What disturbs lasts: beside busy neighbours, the second 5 ms of a block correlated with the first by 0.7,
# and still by 0.2 with what came 0.15 s later. So more and shorter turns tell more than fewer and longer ones, as long
# as what comes before each does not take most of the time.
BLOCK_SECONDS = 6e-3
# Of an epoch in the quick plan, where it takes more than twice that: the tutorial's loader takes 4 to 10 s for one, as
# long for every image, and three of them on each of two devices were half of the minute.
PART_SECONDS = 0.8
CAPTURED = 0.15  # of a step's part that does not depend on the batch, where no Python runs: 147 of 1,000 us on an H200
EMULATION = 8.0  # a number format that the CPU lacks, per image: 6 times fp32 for bf16 and 12 for fp16 on AVX2
GROUPS = ("steps", "epochs", "trainings")


@dataclass(frozen=True)
class Costs:
    """Seconds that a device takes besides the repetitions.

    Attributes:
        context: In each process, before its first operation is done.
        prepare: Of a step's case in each process: built and warmed.
        calibrate: Of its yardsticks, once.
        energy: Of a case in a thorough run, where the device has a counter of its energy that everyone may read.
    """

    context: float
    prepare: float
    calibrate: float
    energy: float


CPU_COSTS = Costs(context=0.0, prepare=0.015, calibrate=2.0, energy=0.0)
ACCELERATOR_COSTS = Costs(context=0.5, prepare=0.035, calibrate=3.7, energy=2.0)  # of an H200


def costs_of(device: str) -> Costs:
    """Those of a device by its name."""
    return CPU_COSTS if device == "cpu" else ACCELERATOR_COSTS


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        step_seconds: Seconds of rounds a step case, an epoch case 4 times that.
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

    def and_less(self) -> Iterator[Effort]:
        """This effort and then ones with fewer epochs and seeds, for a plan that has a time limit."""
        yield self
        for epochs, seeds in ((4, 5), (4, 4), (3, 3)):
            yield dataclasses.replace(self, epochs=min(epochs, self.epochs), seeds=min(seeds, self.seeds))


def group_of(case: Case) -> str:
    """The group whose rounds the case is in: what repeats a step, an epoch or a training."""
    repetition = WORKLOADS[case.workload].repetition
    return {"step": "steps", "epoch": "epochs"}.get(repetition, "trainings")


def groups(cases: Mapping[str, Case]) -> dict[str, dict[str, Case]]:
    """The cases of each group that has some, in the order in which groups are measured."""
    found = {name: {id: case for id, case in cases.items() if group_of(case) == name} for name in GROUPS}
    return {name: members for name, members in found.items() if members}


@dataclass(frozen=True)
class Share:
    """What a group gets.

    Attributes:
        processes: Processes, one after the other.
        rounds: Rounds in each.
        seconds: How long they are expected to take.
    """

    processes: int
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Rates:
    """What the survey saw.

    Attributes:
        step_seconds: By device, the part of a step that does not depend on the batch, and the part an image.
        loader_seconds_per_image: Of the tutorial's loader.
        emulated: Precisions that the CPU has no instructions for.
    """

    step_seconds: Mapping[str, tuple[float, float]]
    loader_seconds_per_image: float
    emulated: Sequence[str] = ()


# Most processes first, if each has so many rounds. Two processes of one program differ by more than the rounds of one
# do, and Student's factor falls from 3.2 for four to 2.4 for eight; beyond, preparing takes the rounds' time.
STEP_SHARES = ((12, 12), (8, 4), (6, 4), (5, 3), (4, 3), (3, 1))
MOST_ROUNDS = 40
EPOCH_PROCESSES, FEWEST_PROCESSES = 8, 3


def share(name: str, prepare_seconds: float, round_seconds: float, budget_seconds: float, fewest: int) -> Share:
    """Processes and rounds of a group.

    Args:
        name: The group's.
        prepare_seconds: For one process to start and prepare all cases.
        round_seconds: For a round.
        budget_seconds: For all; what is fewest is done whatever it takes.
        fewest: Rounds of all processes together, for epochs and trainings.
    """
    if name == "trainings":
        processes = min(EPOCH_PROCESSES, fewest)
        rounds = math.ceil(fewest / processes)
    elif name == "epochs":
        processes = min(EPOCH_PROCESSES, max(FEWEST_PROCESSES, fewest))
        rounds = max(
            math.ceil(fewest / processes), _affordable(processes, prepare_seconds, round_seconds, budget_seconds)
        )
    else:
        for processes, enough in STEP_SHARES:
            rounds = _affordable(processes, prepare_seconds, round_seconds, budget_seconds)
            if rounds >= enough:
                break
        rounds = max(1, rounds)
    rounds = min(MOST_ROUNDS, rounds)
    return Share(processes, rounds, processes * (prepare_seconds + rounds * round_seconds))


def _affordable(processes: int, prepare_seconds: float, round_seconds: float, budget_seconds: float) -> int:
    return math.floor((budget_seconds / processes - prepare_seconds) / max(round_seconds, 1e-9))


@dataclass(frozen=True)
class Plan:
    """What a run does and how long each part of it is expected to take, in seconds.

    Attributes:
        effort: How much to measure.
        shares: By group.
        calibrations: How often the yardsticks are timed: before, and if the effort is thorough also after.
        calibrate_seconds: For that, together.
        compile_seconds: For compiling from cold.
        observe_seconds: For taking the cases apart.
        start_up_seconds: For starting from nothing.
    """

    effort: Effort
    shares: Mapping[str, Share]
    calibrations: int
    calibrate_seconds: float
    compile_seconds: float
    observe_seconds: float
    start_up_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """All of it, and the report."""
        return self.seconds_without("")

    def seconds_without(self, group: str) -> float:
        """All of it but one group's rounds."""
        groups = sum(share.seconds for name, share in self.shares.items() if name != group)
        alone = self.calibrate_seconds + self.compile_seconds + self.observe_seconds + self.start_up_seconds
        return groups + alone + REPORT_SECONDS


REPORT_SECONDS = 3.0
MARKED_SECONDS = 2.0


def make(cases: Mapping[str, Case], train_images: int, options: Mapping[str, Any], plan: str, rates: Rates) -> Plan:
    """The plan with the most epochs and seeds that leave the steps their time; they get what is left of the plan's.

    Args:
        cases: Those that can be measured here, by id.
        train_images: Images of an epoch.
        options: As `bench.axes.matrix` names them. A matrix or a budget of the user's own has no limit.
        plan: The plan whose limit it is.
        rates: What the survey saw.
    """
    limit = PLAN_SECONDS[plan] if matrix.is_planned(options) and options["budget"] is None else math.inf
    wanted = Effort(options["budget"] or Effort.step_seconds, options["epochs"], options["seeds"], plan != "quick")
    if not math.isfinite(limit):
        return _plan(cases, train_images, wanted, rates)
    for effort in wanted.and_less():
        left = limit - _plan(cases, train_images, effort, rates).seconds_without("steps")
        seconds = left / max(1, sum(group_of(case) == "steps" for case in cases.values()))
        if seconds >= wanted.step_seconds:
            break
    seconds = round(min(max(seconds, LEAST_STEP_SECONDS), MOST_STEP_SECONDS), 2)
    return _plan(cases, train_images, dataclasses.replace(effort, step_seconds=seconds), rates)


def _plan(cases: Mapping[str, Case], train_images: int, effort: Effort, rates: Rates) -> Plan:
    shares = {}
    for name, members in groups(cases).items():
        repetitions = {id: repetition_seconds(case, train_images, rates) for id, case in members.items()}
        if name == "epochs" and not effort.thorough:
            repetitions = {id: _in_part(members[id], seconds) for id, seconds in repetitions.items()}
        prepare = _context_seconds(members) + sum(
            _prepare_seconds(case, name, repetitions[id]) for id, case in members.items()
        )
        round_ = _wake_seconds(members, name) + sum(_turn_seconds(name, seconds) for seconds in repetitions.values())
        budget = len(members) * effort.step_seconds * (1 if name == "steps" else 4)
        fewest = {"steps": 0, "epochs": effort.epochs, "trainings": effort.seeds}[name]
        shares[name] = share(name, START_SECONDS + prepare, round_, budget, fewest)
    return Plan(
        effort=effort,
        shares=shares,
        calibrations=(calibrations := 2 if effort.thorough else 1),
        calibrate_seconds=calibrations * sum(costs_of(device).calibrate for device in _devices(cases)),
        compile_seconds=sum(COMPILE_SECONDS for case in cases.values() if COMPILERS[case.compiler].mode),
        observe_seconds=_context_seconds(cases)
        + sum(_observe_seconds(case, train_images, effort, rates) for case in cases.values()),
        start_up_seconds=effort.thorough * START_UPS * START_UP_SECONDS * sum(map(starts, cases.values())),
    )


# Of each training in fp32, in a thorough run: starting does not depend on the number format.
START_UPS, START_UP_SECONDS = 3, 5.0


def starts(case: Case) -> bool:
    """Whether it is started from nothing, too."""
    return case.workload == "accuracy" and case.precision == "fp32"


START_SECONDS = 0.2  # for a process to be forked and to have gone


def repetition_seconds(case: Case, train_images: int, rates: Rates) -> float:
    """Seconds of one repetition: of a step, an epoch or a training."""
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


def _in_part(case: Case, epoch_seconds: float) -> float:
    """What is timed of an epoch, of which a part may be enough."""
    return PART_SECONDS if epoch_seconds > 2 * PART_SECONDS and not case.num_workers else epoch_seconds


def _devices(cases: Mapping[str, Case]) -> set[str]:
    return {case.device for case in cases.values()}


def _context_seconds(cases: Mapping[str, Case]) -> float:
    return sum(costs_of(device).context for device in _devices(cases))


def _wake_seconds(cases: Mapping[str, Case], group: str) -> float:
    """Of a round: a device had nothing to do while it was another's turn."""
    devices = _devices(cases)
    return sum(DEVICES[device].wake_seconds for device in devices) if group == "steps" and len(devices) > 1 else 0.0


def _turn_seconds(group: str, seconds: float) -> float:
    if group != "steps":
        return seconds
    return max(1, math.ceil(BLOCK_SECONDS / seconds)) * seconds + max(seconds, LEAD_SECONDS)


# Of repetitions before a block. After a single one, the first 5 ms of a block took 3% longer than the later ones (2 to
# 6% by case), the next 5 ms 0.4%.
LEAD_SECONDS = 5e-3


def _prepare_seconds(case: Case, group: str, seconds: float) -> float:
    compiled = COMPILED_SECONDS if COMPILERS[case.compiler].mode else 0.0
    if group != "steps":
        return compiled + 0.3
    # A few repetitions, and the turn in a round that does not count.
    return costs_of(case.device).prepare + compiled + 4 * seconds + _turn_seconds(group, seconds)


def _observe_seconds(case: Case, train_images: int, effort: Effort, rates: Rates) -> float:
    """Taking apart, counting and, if the effort is thorough, looking for growth and energy."""
    seconds = repetition_seconds(case, train_images, rates)
    alone = COMPILED_SECONDS if COMPILERS[case.compiler].mode else 0.0
    if effort.thorough and case.workload in ("step", "epoch"):
        alone += costs_of(case.device).energy
    if case.workload == "epoch":
        return alone + 1.5 + 2 * min(seconds, MARKED_SECONDS if effort.thorough else MARKED_SECONDS / 4)
    if case.workload == "accuracy":
        return alone + 0.5
    return alone + 0.3 + 30 * min(seconds, 0.1) + (100 * seconds if effort.thorough and seconds <= 0.01 else 0.0)
