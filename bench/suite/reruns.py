"""Whole runs of one plan, again and again: do their numbers hold in the next run? `python -m bench.suite.proof reruns`.

Every run is a command of its own, all records are kept, and every two of them are compared as a user would.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.analyse.cells import cells
from bench.analyse.compare import ALONE, compare
from bench.analyse.levels import Estimate, difference, ratio_of
from bench.analyse.rounds import rounds_of
from bench.analyse.trust import judged, objections
from bench.axes.axis import AXES
from bench.errors import BenchError, reason_in
from bench.record import store
from bench.record.measurement import Measurement
from bench.record.model import Record
from bench.workers.process import HARNESS, Process, child_environment

RUNS = 8
LIMIT_SECONDS = 1800.0  # for one run
# Keeps a core busy for three seconds of every six.
NEIGHBOUR = """
import time
while True:
    end = time.monotonic() + 3
    while time.monotonic() < end:
        sum(range(1000))
    time.sleep(3)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this proof; what is behind `--` goes to the runs."""
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help=f"({RUNS})")
    parser.add_argument("--beside", action="store_true", help="beside a process that is busy for 3 s of every 6")
    parser.add_argument(
        "--records", type=Path, default=Path("reruns"), metavar="DIR", help="where the records go (reruns)"
    )


def reruns(options: argparse.Namespace, words: Sequence[str]) -> dict[str, Any]:
    """Runs, and what every two of the records say of each other; runs that are there already count."""
    folder = options.records.resolve()
    records = read(folder)
    with neighbour(busy=options.beside):
        while len(records) < options.runs:
            _run(folder, words)
            records = read(folder)
            print(f"reruns: {len(records)} of {options.runs}", flush=True)
    judgement = judge(records)
    for name, value in judgement.items():
        if value is None:
            print(f"reruns: {name.replace('_', ' ')}: not known, since nothing is judged")
        elif not isinstance(value, dict):
            print(
                f"reruns: {name.replace('_', ' ')}: {value:.2%}" if "fraction" in name else f"reruns: {name}: {value}"
            )
    return judgement


@contextlib.contextmanager
def neighbour(*, busy: bool) -> Iterator[None]:
    """Keeps another process busy meanwhile, if `busy`."""
    with Process([sys.executable, "-c", NEIGHBOUR]) if busy else contextlib.nullcontext():
        yield


def _run(folder: Path, words: Sequence[str]) -> None:
    command = [sys.executable, "-m", "bench", *words, "--results", str(folder)]
    ended = subprocess.run(
        command, cwd=HARNESS, env=child_environment({}), capture_output=True, text=True, check=False,
        timeout=LIMIT_SECONDS,
    )  # fmt: skip
    if ended.returncode:
        raise BenchError(f"a run ended with exit code {ended.returncode}: {reason_in(ended.stderr)}")


def read(folder: Path) -> list[Record]:
    """The records below a results folder, in the order of their time."""
    return [store.read(path) for path in sorted(folder.glob(f"*/*/{store.RECORD_FILE}"))]


def judge(records: Sequence[Record]) -> dict[str, Any]:
    """How often two runs of the same program contradict each other, and how far ratios scatter from run to run.

    Returns:
        runs: How many.
        judged_fraction: Of all cases of all pairs that took turns with others, those that `compare` judges.
        different_fraction: Of the judged ones, those that are called different, which is an error.
        moved_scatter_fraction: What `compare` judges, its standard deviation from run to run, the median over cases.
        outside_fraction: Of the ratios of each case to the base case of two runs, those that differ by more than their
            intervals say. They share one case, and so its luck.
        outside_any_fraction: The same of the ratios of all cases to each other.
        barred_cells: Cells that are barred from comparisons, the mean over runs.
        scatter_median_fraction, scatter_worst_fraction: Standard deviations from run to run of the ratio to the base.
        scatter_fraction, reach_fraction: By case, that deviation, and half the stated interval (the mean over the runs
            that state one; None if none does).
    """
    rows = [row for a, b in itertools.combinations(records, 2) for row in compare([a], [b]) if row.reason != ALONE]
    ratios, others = _ratios(records)
    scatter = {id: statistics.stdev([one.log for one in runs]) for id, runs in ratios.items() if len(runs) > 1}
    certain = [row for row in rows if row.ratio]
    return {
        "runs": len(records),
        "judged_fraction": len(certain) / max(1, len(rows)),
        "different_fraction": sum(bool(row.ratio and row.ratio.clear) for row in certain) / max(1, len(certain)),
        "moved_scatter_fraction": _moved(records),
        "outside_fraction": _outside([*ratios.values()]),
        "outside_any_fraction": _outside([*ratios.values(), *others]),
        "barred_cells": statistics.fmean(
            sum(bool(c.measurement and c.why_not_judged) for c in cells(r)) for r in records
        ),
        "scatter_median_fraction": statistics.median(scatter.values()) if scatter else None,
        "scatter_worst_fraction": max(scatter.values(), default=None),
        "scatter_fraction": scatter,
        "reach_fraction": {id: _reach(runs) for id, runs in ratios.items()},
        "ratio": {id: math.exp(statistics.fmean(one.log for one in runs)) for id, runs in ratios.items()},
    }


def _reach(runs: Sequence[Estimate]) -> float | None:
    stated = [reach for one in runs if math.isfinite(reach := one.reach())]
    return statistics.fmean(stated) if stated else None


def _moved(records: Sequence[Record]) -> float | None:
    """How what `compare` judges scatters from run to run, all of them beside the first."""
    logs: dict[str, list[float]] = {}
    for record in records:
        for row in compare(records[:1], [record]):
            if row.ratio:
                logs.setdefault(row.id, []).append(math.log(row.ratio.value))
    scatter = [statistics.stdev(of_case) for of_case in logs.values() if len(of_case) > 1]
    return statistics.median(scatter) if scatter else None


def _outside(ratios: Sequence[Sequence[Estimate]]) -> float:
    """Of pairs of runs of a ratio, those that differ by more than they say."""
    pairs = [difference(a, b) for runs in ratios for a, b in itertools.combinations(runs, 2)]
    return sum(one.ratio().clear for one in pairs) / max(1, len(pairs))


def _ratios(records: Sequence[Record]) -> tuple[dict[str, list[Estimate]], list[list[Estimate]]]:
    """By case, its ratio to the base of its rounds in every run, and the same of all other pairs of cases.

    The base is the plainest case of all runs, on the CPU where there is one; what else a case chooses than the
    reference counts by axis, in the axes' order.
    """
    pairs, bases = dict[tuple[str, str], list[Estimate]](), dict[str, Measurement]()
    for record in map(judged, records):
        known, groups = rounds_of(record), dict[str, list[Measurement]]()
        for measurement in sorted((m for m in record.measurements if not objections(m)), key=_plainness):
            group = known[measurement.rounds[0]].group
            bases[group] = min(bases.get(group, measurement), measurement, key=_plainness)
            for other in groups.setdefault(group, []):
                if ratio := ratio_of(measurement, other, record):
                    pairs.setdefault((measurement.id, other.id), []).append(ratio)
            groups[group].append(measurement)
    base_ids = {base.id for base in bases.values()}
    to_base = {id: runs for (id, other), runs in pairs.items() if other in base_ids}
    return to_base, [runs for (_, other), runs in pairs.items() if other not in base_ids]


def _plainness(measurement: Measurement) -> tuple[bool, ...]:
    case = measurement.case
    return (case.device != "cpu", *(getattr(case, axis.field) != axis.default for axis in AXES if axis.default))
