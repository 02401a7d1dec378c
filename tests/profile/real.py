"""Real steps of real cases."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.axes.case import Case, parse_id
from bench.measure import settings
from bench.profile.steps import MarkedSteps, steps_of
from bench.workers import workloads
from fcnn.data import Images
from fcnn.train import unmarked

ROOT = Path(__file__).parents[2]


def steps_of_case(id: str, images: Images) -> tuple[Case, MarkedSteps]:
    """Of a case on one thread, a few of them done."""
    case = dataclasses.replace(parse_id(id), threads=1)
    settings.apply(case)
    steps = steps_of(case, workloads.BUILDERS[case.workload](case, images))
    steps.run(unmarked, 3)
    return case, steps
