"""What the measuring itself is worth on this machine: `python -m bench.suite.proof`, with the name of a proof.

* reruns: whole runs of a plan, again and again: whether two runs of the same program agree. What is behind `--` goes to
  the runs, as in `python -m bench.suite.proof reruns --runs 8 -- run --workload step --batch 1 64 --budget 1`.
* bias: the step with a known delay added (0 to 10%) against the plain step, in rounds.
* overhead: what the harness adds to a repetition.
* payoff: seconds that a fresh process takes for many steps, eager and compiled, against what a record predicts.

Prints a line each and writes every raw value to a JSON file.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import command
from bench.analyse.levels import ratio_of, time_of
from bench.analyse.statistics import mean_interval, summarise
from bench.axes.case import Case
from bench.errors import DONE
from bench.record import files
from bench.record.folding import folded
from bench.record.journal import Journal
from bench.record.model import Record
from bench.suite import header, session
from bench.suite import reruns as repeated
from bench.suite.costs import BLOCK_SECONDS
from bench.suite.engine import Group, Rounds
from bench.suite.plan import Share
from bench.workers.start import Workers

DELAYS = (0.0, 0.01, 0.02, 0.05, 0.10)
BIAS_SHARE = Share(8, 6, 10.0)
PLAIN = "plain"


def bias(runs: int) -> dict[str, Any]:
    """By delay: the estimated slowdown less the true one, in points, over runs.

    The plain step and one case for every delay take turns in the same rounds, each prepared by itself: the noise is all
    real, and so is what differs between two cases that do the same. Only the delay is not waited for, it is added to
    the times: on an EPYC, after waiting a tenth of its time the step itself is 0.4% slower, since the caches and the
    other threads do not wait along.
    """
    errors: dict[float, list[float]] = {delay: [] for delay in DELAYS}
    with session.workers_of({"dataset": "MNIST", "data": None}) as workers:
        for _ in range(runs):
            record = _alike(workers)
            for delay, error in errors_of(record).items():
                errors[delay].append(error)
    for delay, points in errors.items():
        middle, low, high = mean_interval(points)
        bounds = "" if low is None or high is None else f" ({low:+.2f} to {high:+.2f})"
        print(f"bias at +{delay:.0%}: {middle:+.2f} points{bounds}, {len(points)} runs", flush=True)
    return {f"{delay:g}": points for delay, points in errors.items()}


def errors_of(record: Record) -> dict[float, float]:
    """By delay: the estimate less the truth in points, of a record of cases that all do the same."""
    by_id = {m.id: m for m in record.measurements}
    plain = by_id[PLAIN]
    added = time_of(plain, record).value
    errors = {}
    for delay in DELAYS:
        slow = by_id[f"{delay:g}"]
        later = dataclasses.replace(slow, samples_seconds=[s + delay * added for s in slow.samples_seconds])
        estimate = ratio_of(later, plain, record)
        assert estimate is not None
        errors[delay] = 100 * (estimate.value - 1 - delay)
    return errors


def _alike(workers: Workers) -> Record:
    """A run of cases that all do the same: the plain step, and one for every delay."""
    with workers.start() as worker:
        facts = worker.ask("survey", cases={}, devices=["cpu"])
    case = Case(threads=facts["threads"])
    cases = {PLAIN: case, **{f"{delay:g}": case for delay in DELAYS}}
    planned = {id: {"case": dataclasses.asdict(case), "command": "proof", "impossible": None} for id in cases}
    first = {
        "created_utc": "2000-01-01T00:00:00Z", "command": "proof", "commit": None, "cases": planned,
        **{name: facts[name] for name in ("machine", "environment", "dataset")}, "accuracy": header.ACCURACY,
    }  # fmt: skip
    with files.scratch() as folder:
        journal = Journal.create(folder, first)
        Rounds(Group("steps", cases, BIAS_SHARE, {}), workers.start, journal, random.Random()).measure()
        journal.close()
        return folded(journal.lines)


def overhead() -> dict[str, float]:
    """Seconds that the harness adds to a repetition in a block, beside the step's."""
    from bench.measure import settings
    from bench.measure.clock import Clock
    from bench.measure.sampling import measure
    from bench.suite.prediction import reference_case
    from bench.workers import workloads
    from bench.workers.images import images

    case = reference_case()
    settings.apply(case)
    step = workloads.step(case, images("MNIST", None)).repeat
    median = measure(step).summary.time
    clock, repetitions = Clock(), math.ceil(BLOCK_SECONDS / median)
    empty = [clock.time_block(_nothing, repetitions).host_seconds / repetitions for _ in range(2000)]
    added = summarise(empty).median
    print(f"overhead: {added * 1e9:.0f} ns a repetition of {median * 1e6:.0f} µs, {added / median:.4%}")
    return {"harness_seconds": added, "step_seconds": median, "fraction": added / median}


def _nothing() -> None:
    """What the harness is timed with."""


def payoff() -> list[dict[str, Any]]:
    """`bench.suite.prediction.payoff`."""
    from bench.suite import prediction

    return prediction.payoff()


def main(words: Sequence[str] | None = None) -> int:
    """Runs one proof."""
    given = list(sys.argv[1:] if words is None else words)
    own, rest = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    parser = argparse.ArgumentParser(prog="python -m bench.suite.proof", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("proof", choices=("reruns", "bias", "overhead", "payoff"))
    parser.add_argument("--output", type=Path, default=Path("proof.json"), metavar="FILE", help="(proof.json)")
    repeated.add_options(parser)
    options = parser.parse_args(own)
    numbers = {
        "reruns": lambda: repeated.reruns(options, rest),
        "bias": lambda: bias(options.runs),
        "overhead": overhead,
        "payoff": payoff,
    }[options.proof]()
    files.write_json(options.output, {options.proof: numbers})
    return DONE


if __name__ == "__main__":
    sys.exit(command.run(main))
