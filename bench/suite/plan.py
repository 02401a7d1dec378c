"""What a run will do: which cases share rounds, in how many processes, how many rounds, and how long that takes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.axes import matrix
from bench.axes.case import Case
from bench.suite import costs

# Of the minute and of the three minutes, less what the images and the report take.
PLAN_SECONDS = {"quick": 50.0, "suite": 165.0}
# Until the machine and the images have been looked at. Where that takes longer, all that is not rounds does: the report
# comes about as late again. On a machine of half the speed the minute was 64 s.
USUAL_SURVEY_SECONDS = 5.0
# Of rounds per step case, in a plan that has a limit: with less, intervals would tell nothing, whatever the limit.
LEAST_STEP_SECONDS, MOST_STEP_SECONDS = 0.8, 2.0
# The groups that an option of the effort concerns.
CONCERNED = {"budget": {"steps", "epochs"}, "epochs": {"epochs"}, "seeds": {"trainings"}}


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        step_seconds: Seconds of rounds per step case, an epoch case 4 times that.
        epochs: Fewest epochs timed an epoch case.
        seeds: Seeds an accuracy case.
        thorough: Whether to look for memory that 100 repetitions leave behind, and for the energy they take.
    """

    step_seconds: float = 1.0
    epochs: int = 5
    seeds: int = 5
    thorough: bool = True

    def added_to(self, words: Sequence[str], groups: Collection[str], prefix: str = "") -> list[str]:
        """A command's words that ask for this effort and no other.

        Args:
            words: The command's.
            groups: The groups of its cases, as `bench.suite.costs.groups` names them: no other effort concerns it.
            prefix: Of the options, where they are pytest's.
        """
        values = {"budget": self.step_seconds, "epochs": self.epochs, "seeds": self.seeds}
        options = {f"--{prefix}{name}": value for name, value in values.items() if CONCERNED[name] & {*groups}}
        given = [*itertools.pairwise(words), *(word.partition("=")[::2] for word in words)]
        lacking = [name for name, value in options.items() if not {(name, str(value)), (name, f"{value:g}")} & {*given}]
        return [*words, *(word for name in lacking for word in (name, str(options[name])))]

    def and_less(self) -> Iterator[Effort]:
        """This effort and then ones with fewer epochs and seeds, for a plan that has a time limit."""
        yield self
        for epochs, seeds in ((4, 5), (4, 4), (3, 3)):
            yield dataclasses.replace(self, epochs=min(epochs, self.epochs), seeds=min(seeds, self.seeds))


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


# Most processes first, if each has so many rounds. Two processes of one program differ by more than the rounds of one
# do, and Student's factor falls from 3.2 for four to 2.4 for eight; beyond, preparing takes the rounds' time.
STEP_SHARES = ((12, 12), (8, 4), (6, 4), (5, 3), (4, 3), (3, 1))
MOST_ROUNDS = 40
TIMES_MADE = 2  # a program of the user's own, to be taken apart: as it is, and for the fewest images
OWN_SECONDS = 20.0  # of rounds, all cases of a program of the user's own together, unless it is asked for more or less
MOST_MADE_SECONDS = 60.0  # beyond, for making it in one process after another
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
        calibrations: How often the calibrations are timed: before, and if the effort is thorough also after.
        calibrate_seconds: For that, together.
        compile_seconds: For compiling from cold.
        observe_seconds: For taking the cases apart.
        start_up_seconds: For starting from nothing.
        limited: Whether it has a time limit, and not what was asked for.
    """

    effort: Effort
    shares: Mapping[str, Share]
    calibrations: int
    calibrate_seconds: float
    compile_seconds: float
    observe_seconds: float
    start_up_seconds: float = 0.0
    limited: bool = False

    @property
    def seconds(self) -> float:
        """All of it, and the report."""
        return self.seconds_without("")

    def seconds_without(self, group: str) -> float:
        """All of it but one group's rounds."""
        groups = sum(share.seconds for name, share in self.shares.items() if name != group)
        alone = self.calibrate_seconds + self.compile_seconds + self.observe_seconds + self.start_up_seconds
        return groups + alone + REPORT_SECONDS

    def has_room(self, passed_seconds: float, process_seconds: float, processes: int) -> bool:
        """Whether a further process of steps fits in the time, where all that was planned took less than expected.

        Args:
            passed_seconds: Since the run began; the last calibrations and the report are still to come.
            process_seconds: What one has taken.
            processes: That steps had.
        """
        later = self.calibrate_seconds / self.calibrations * (self.calibrations - 1) + REPORT_SECONDS
        fits = passed_seconds + process_seconds + later <= self.seconds
        return self.limited and fits and processes < STEP_SHARES[0][0]


REPORT_SECONDS = 3.0


def make(
    cases: Mapping[str, Case],
    train_images: int,
    options: Mapping[str, Any],
    plan: str,
    rates: costs.Rates,
    survey_seconds: float = USUAL_SURVEY_SECONDS,
) -> Plan:
    """The plan with the most epochs and seeds that leave the steps their time; they get what is left of the plan's.

    Args:
        cases: Those that can be measured here, by id.
        train_images: Images of an epoch.
        options: As `bench.axes.matrix` names them. A matrix or a budget of the user's own has no limit.
        plan: The plan whose limit it is.
        rates: What the survey saw.
        survey_seconds: How long that took.
    """
    limit = PLAN_SECONDS[plan] if matrix.is_planned(options) and options["budget"] is None else math.inf
    wanted = Effort(options["budget"] or Effort.step_seconds, options["epochs"], options["seeds"], plan != "quick")
    if rates.own and options["budget"] is None:
        each = round(OWN_SECONDS / max(1, len(cases)), 2)
        wanted = dataclasses.replace(wanted, step_seconds=max(wanted.step_seconds, each))
    if not math.isfinite(limit):
        return _plan(cases, train_images, wanted, rates)
    limit -= 2 * max(0.0, survey_seconds - USUAL_SURVEY_SECONDS)
    for effort in wanted.and_less():
        left = limit - _plan(cases, train_images, effort, rates).seconds_without("steps")
        seconds = left / max(1, sum(costs.group_of(case) == "steps" for case in cases.values()))
        if seconds >= wanted.step_seconds:
            break
    seconds = round(min(max(seconds, LEAST_STEP_SECONDS), MOST_STEP_SECONDS), 2)
    return _plan(cases, train_images, dataclasses.replace(effort, step_seconds=seconds), rates, limited=True)


def _plan(
    cases: Mapping[str, Case], train_images: int, effort: Effort, rates: costs.Rates, *, limited: bool = False
) -> Plan:
    shares = {}
    for name, members in costs.groups(cases).items():
        repetitions = {id: costs.repetition_seconds(case, train_images, rates) for id, case in members.items()}
        if name == "epochs" and not effort.thorough:
            repetitions = {id: costs.in_part(members[id], seconds) for id, seconds in repetitions.items()}
        prepare = costs.context_seconds(members) + sum(
            costs.prepare_seconds(case, name, repetitions[id]) for id, case in members.items()
        )
        made = costs.made_seconds(members.values(), rates)
        prepare += made
        turns = sum(costs.turn_seconds(name, seconds) for seconds in repetitions.values())
        round_ = costs.wake_seconds(members, name) + turns
        budget = len(members) * effort.step_seconds * (1 if name == "steps" else 4)
        budget += min(STEP_SHARES[1][0] * made, MOST_MADE_SECONDS)
        fewest = {"steps": 0, "epochs": effort.epochs, "trainings": effort.seeds}[name]
        shares[name] = share(name, costs.start_seconds() + prepare, round_, budget, fewest)
    return Plan(
        effort=effort,
        shares=shares,
        calibrations=(calibrations := 2 if effort.thorough else 1),
        calibrate_seconds=calibrations
        * (costs.start_seconds() + sum(costs.costs_of(device).calibrate for device in costs.devices_of(cases))),
        compile_seconds=sum(map(costs.compile_seconds, cases.values())),
        observe_seconds=costs.start_seconds()
        + costs.context_seconds(cases)
        + sum(costs.observe_seconds(case, train_images, effort.thorough, rates) for case in cases.values())
        + TIMES_MADE * costs.made_seconds(cases.values(), rates),
        start_up_seconds=sum(map(costs.start_up_seconds, cases.values())) if effort.thorough else 0.0,
        limited=limited,
    )
