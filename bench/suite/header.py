"""The first line of a run's journal: what is measured, on which machine, by which program.

Imports no torch: what needs it is asked of workers.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.axes import matrix
from bench.axes.case import Case, case_id, command_words
from bench.axes.devices import VISIBLE, visible_gpus
from bench.measure import git
from bench.suite import host, own
from bench.suite import plan as planning
from bench.suite.costs import Rates, group_of
from bench.suite.plan import Plan
from bench.workers import presence
from bench.workers.process import HARNESS
from bench.workers.start import FORKS, Workers

SURVEY_LIMIT_SECONDS = 120.0
# How a training is judged, by `bench.workers.training`, which this process does not import.
ACCURACY = {"epochs": 1, "target_fraction": 0.93, "max_epochs": 3}


@dataclass(frozen=True)
class Surveyed:
    """What is planned on which machine.

    Attributes:
        cases: The planned cases by id, their threads resolved.
        facts: As `bench.workers.survey.survey` answers.
        plan: Of the cases that can be measured here.
        own: By case, what is known of a program of the user's own; None where it is the reference that is measured.
    """

    cases: Mapping[str, Case]
    facts: Mapping[str, Any]
    plan: Plan
    own: Mapping[str, own.Facts] | None = None

    @property
    def possible(self) -> dict[str, Case]:
        """The cases that can be measured here."""
        return {id: case for id, case in self.cases.items() if not self.facts["impossible"][id]}


def survey(
    workers: Workers, options: Mapping[str, Any], plan: str, choose: Callable[[str], bool] = lambda id: True
) -> Surveyed:
    """What `options` choose, and what this machine makes of it.

    Args:
        workers: Where to ask.
        options: As `bench.axes.matrix` names them.
        plan: The plan whose cases and time limit count where they choose none.
        choose: Whether a planned case is wanted.

    Raises:
        BenchError: The images cannot be had.
    """
    begin = time.monotonic()
    workers.wait()
    if options.get("program"):
        return _survey_own(workers, options, plan)
    surveyed = presence.surveyed(workers, lambda worker: _survey(worker, options, plan, choose, begin))
    here = any(case.device == "cpu" for case in surveyed.possible.values())
    # Where workers are not forked, two more import torch for longer than a quick report has.
    if surveyed.facts["gpu"] and here and (FORKS or plan != "quick"):
        surveyed.facts["environment"]["settings"].update(host.cost_of_gpu(workers))
    return surveyed


def _survey(
    worker: Any, options: Mapping[str, Any], plan: str, choose: Callable[[str], bool], begin: float
) -> Surveyed:
    planned, facts = _planned(worker, options, plan, choose)
    threads = facts["threads"]
    if facts["gpu"] and options["threads"] is None:
        chosen = host.chosen_threads(worker, Path(options["results"]), facts["machine"]["slug"])
        facts["environment"]["settings"].update(chosen)
        threads = chosen.get(host.CHOSEN, threads)
    resolved = _resolved(planned, threads)
    possible = {id: case for id, case in resolved.items() if not facts["impossible"][id]}
    here = sorted({case.device for case in possible.values()})
    rates = Rates(**worker.ask("rates", SURVEY_LIMIT_SECONDS, devices=here, threads=threads))
    survey_seconds = time.monotonic() - begin
    made = planning.make(possible, facts["dataset"]["train_images"], options, plan, rates, survey_seconds)
    return Surveyed(resolved, facts, made)


def _planned(
    worker: Any, options: Mapping[str, Any], plan: str, choose: Callable[[str], bool]
) -> tuple[dict[str, Case], dict[str, Any]]:
    """The planned cases that are wanted, by id, and what `bench.workers.survey.survey` answers of them."""
    devices = worker.ask("devices", SURVEY_LIMIT_SECONDS)
    planned = {case_id(case): case for case in matrix.cases(options, plan, devices)}
    planned = {id: case for id, case in planned.items() if choose(id)}
    used = sorted({case.device for case in planned.values()})
    asked = {id: dataclasses.asdict(case) for id, case in planned.items()}
    return planned, worker.ask("survey", SURVEY_LIMIT_SECONDS, cases=asked, devices=used)


def _resolved(planned: Mapping[str, Case], threads: int) -> dict[str, Case]:
    """The cases with so many threads where they name none."""
    return {id: dataclasses.replace(case, threads=case.threads or threads) for id, case in planned.items()}


def _survey_own(workers: Workers, options: Mapping[str, Any], plan: str) -> Surveyed:
    """The same of a program of the user's own, on all threads unless it is told otherwise."""
    planned, facts = presence.surveyed(workers, lambda worker: _planned(worker, options, plan, lambda id: True))
    cases = _resolved(planned, facts["threads"])
    possible = {id: case for id, case in cases.items() if not facts["impossible"][id]}
    known = own.surveyed(workers, possible)
    rates = Rates(own={possible[id]: facts for id, facts in known.items()})
    made = planning.make(possible, 0, options, plan, rates)
    return Surveyed(cases, {**facts, "dataset": own.dataset(Path(options["program"]))}, made, known)


def again(workers: Workers, run: Mapping[str, Any]) -> dict[str, Any]:
    """What the first line of a run's journal would say now.

    Args:
        workers: Where to ask.
        run: That line.
    """
    workers.wait()
    cases = {id: one["case"] for id, one in run["cases"].items()}
    used = sorted({case["device"] for case in cases.values()})
    facts = presence.surveyed(
        workers, lambda worker: worker.ask("survey", SURVEY_LIMIT_SECONDS, cases=cases, devices=used)
    )
    cases_now = {id: {**one, "impossible": facts["impossible"][id]} for id, one in run["cases"].items()}
    now = {
        **identity(),
        "machine": facts["machine"],
        "dataset": facts["dataset"],
        "cases": cases_now,
        "own_program": None,
    }
    if program := run["asked"].get("program"):
        now |= {"dataset": own.dataset(Path(program)), "own_program": own.again(Path(program), run["own_program"])}
    return now


@functools.cache
def identity() -> Mapping[str, Any]:
    """Which program this is: its commit, and a digest of its files, read once: what runs was read before, too."""
    commit = git.commit_of(Path(__file__))
    digest = hashlib.sha256()
    for file in sorted(path for package in ("bench", "fcnn") for path in (HARNESS / package).rglob("*.py")):
        digest.update(file.relative_to(HARNESS).as_posix().encode())
        digest.update(file.read_bytes())
    return {"commit": commit and dataclasses.asdict(commit), "program": digest.hexdigest()}


def plan_of(run: Mapping[str, Any]) -> Plan:
    """The plan by the first line of a run's journal."""
    plan = run["plan"]
    shares = {name: planning.Share(**share) for name, share in plan["shares"].items()}
    return Plan(**{**plan, "effort": planning.Effort(**plan["effort"]), "shares": shares})


def first_line(surveyed: Surveyed, command: str, dataset: str, program: Path | None = None) -> dict[str, Any]:
    """The first line of the run's journal."""
    known = surveyed.own or {}
    named = str(program) if program else None
    verb = ["run"] if surveyed.plan.effort.thorough else []
    visible = visible_gpus()
    seen = "" if visible is None else f"{VISIBLE}={shlex.quote(visible)} "

    def own_command(id: str, case: Case) -> str:
        planned = dataclasses.replace(case, threads=case.threads if f"-t{case.threads}]" in id else 0)
        words = ["fcnn-bench", *verb, *command_words(planned, dataset=dataset, program=named)]
        words = surveyed.plan.effort.added_to(words, [group_of(case)])
        return f"{seen}{shlex.join(words)}" if case.device == "cuda" else shlex.join(words)

    return {
        "created_utc": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": command,
        **identity(),
        **{name: surveyed.facts[name] for name in ("machine", "environment", "dataset", "gpu")},
        "accuracy": ACCURACY,
        "plan": dataclasses.asdict(surveyed.plan),
        "asked": {"dataset": dataset, **(own.asked(program) if program else {"program": None})},
        "own_program": own.recorded(program, known) if program else None,
        "visible_gpus": visible,
        "cases": {
            id: {
                "case": dataclasses.asdict(case),
                "command": own_command(id, case),
                "impossible": surveyed.facts["impossible"][id],
                **({"images_per_step": known[id].images_per_step} if id in known else {}),
            }
            for id, case in surveyed.cases.items()
        },
    }
