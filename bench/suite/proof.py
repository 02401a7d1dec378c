"""What the measuring itself is worth on this machine: `python -m bench.suite.proof`, about ten minutes.

* bias: the step with a known delay added (0 to 10%) against the plain step, in alternation.
* overhead: what the harness adds to a repetition.
* speed: seconds a case, and the interval reached, beside pytest-benchmark's default settings on the same step.
* payoff: seconds that a fresh process takes for many steps, eager and compiled, against what a record predicts.

Prints a line each and writes every raw value to a JSON file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import command
from bench.analyse.statistics import hodges_lehmann, summarise
from bench.errors import DONE
from bench.measure import facts, settings
from bench.measure.clock import Clock
from bench.measure.sampling import Rule, measure
from bench.record import files
from bench.suite import workloads
from bench.suite.images import images
from bench.suite.prediction import payoff, reference_case

DELAYS = (0.0, 0.01, 0.02, 0.05, 0.10)
QUICK = Rule(budget_seconds=0.15, warmup_seconds=0.05)
THEIRS = """
import os, pathlib
from bench.measure import settings
from bench.axes.case import Case
from bench.suite import workloads
from bench.suite.images import images

def test_step(benchmark):
    case = Case(**{case!r})
    settings.apply(case)
    benchmark(workloads.step(case, images("MNIST", None)).repeat)
"""


class Later:
    """A clock and a repetition that takes exactly so much longer, by that clock.

    Waiting would not do: on an EPYC, after waiting a tenth of its time the step itself is 0.4% slower, since the caches
    and the other threads do not wait along. The noise is all real; only the delay is not waited for.
    """

    def __init__(self, repeat: Callable[[], object], seconds: float) -> None:
        self._repeat, self._seconds, self._added = repeat, seconds, 0.0

    def repeat(self) -> None:
        """The repetition, and the delay."""
        self._repeat()
        self._added += self._seconds

    def now(self) -> float:
        """Seconds, delays included."""
        return time.perf_counter() + self._added


def bias(measurements: int) -> dict[str, Any]:
    """By delay: the estimated slowdowns of alternated measurements, less the true one, in points.

    The middle of the pairs' errors and not their mean: on a shared machine whose speed jumps by an eighth, the few
    pairs that such a jump has parted would decide a mean of a hundred.
    """
    case = reference_case()
    settings.apply(case)
    repeat = workloads.step(case, images("MNIST", None)).repeat
    base = measure(repeat).summary.median
    found = {}
    for delay in DELAYS:
        variants = {"plain": Later(repeat, 0.0), "delayed": Later(repeat, delay * base)}
        medians: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(measurements // 2):
            for name in ("plain", "delayed") if number % 2 else ("delayed", "plain"):
                variant = variants[name]
                samples = measure(variant.repeat, Clock(now=variant.now), QUICK)
                medians[name].append(samples.summary.median)
        # The delay is a known time: as a fraction, it is one of the plain step's median.
        errors = [
            100 * ((slow - delay * base) / plain - 1)
            for slow, plain in zip(medians["delayed"], medians["plain"], strict=True)
        ]
        middle, low, high = hodges_lehmann(errors)
        print(f"bias at +{delay:.0%}: {middle:+.2f} points ({low:+.2f} to {high:+.2f}), {measurements} measurements")
        found[f"{delay:g}"] = {"bias_points": middle, "low": low, "high": high, **medians}
    return {"base_seconds": base, "delays": found}


def overhead() -> dict[str, float]:
    """Seconds that the harness adds to a repetition in a block of 5 ms, beside the step's."""
    case = reference_case()
    settings.apply(case)
    step = workloads.step(case, images("MNIST", None)).repeat
    median = measure(step).summary.median
    clock, repetitions = Clock(), math.ceil(Rule.block_seconds / median)
    empty = [clock.time_block(_nothing, repetitions).host_seconds / repetitions for _ in range(2000)]
    added = summarise(empty).median
    print(f"overhead: {added * 1e9:.0f} ns a repetition of {median * 1e6:.0f} µs, {added / median:.4%}")
    return {"harness_seconds": added, "step_seconds": median, "fraction": added / median}


def _nothing() -> None:
    """What the harness is timed with."""


def speed(rounds: int) -> list[dict[str, float]]:
    """Ours and theirs in turn: seconds a case and half the 95% interval of the median, both by our statistics."""
    case = reference_case()
    settings.apply(case)
    repeat = workloads.step(case, images("MNIST", None)).repeat
    found = []
    with files.scratch() as folder:
        test, output = folder / "test_theirs.py", folder / "theirs.json"
        files.write(test, THEIRS.replace("{case!r}", repr(dataclasses.asdict(case))))
        words = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", str(test)]
        words += ["--rootdir", str(folder), f"--benchmark-json={output}", "--benchmark-save-data"]
        for _ in range(rounds):
            begin = time.perf_counter()
            ours = measure(repeat)
            seconds = time.perf_counter() - begin
            # Without the options that somebody has set for pytest.
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
            subprocess.run(words, check=True, capture_output=True, env=environment, timeout=600)
            (theirs,) = json.loads(output.read_text())["benchmarks"]
            found.append(
                {
                    "our_seconds": seconds,
                    "our_half_width_fraction": ours.summary.half_width_fraction or math.inf,
                    "their_seconds": theirs["stats"]["total"],
                    "their_half_width_fraction": summarise(theirs["stats"]["data"]).half_width_fraction or math.inf,
                }
            )
    for who in ("our", "their"):
        took, width = (
            summarise([one[f"{who}_{what}"] for one in found]).median for what in ("seconds", "half_width_fraction")
        )
        print(f"speed: {who} median {took:.2f} s a case, interval ±{width:.2%}")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Runs every proof, or those named."""
    proofs: dict[str, Callable[[], Any]] = {
        "overhead": overhead,
        "speed": lambda: speed(10),
        "payoff": payoff,
        "bias": lambda: bias(200),
    }
    parser = argparse.ArgumentParser(prog="python -m bench.suite.proof", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("proofs", nargs="*", metavar="PROOF", help=f"which; default: all of {', '.join(proofs)}")
    parser.add_argument("--output", type=Path, default=Path("proof.json"), metavar="FILE", help="(proof.json)")
    options = parser.parse_args(words)
    if unknown := set(options.proofs) - set(proofs):
        parser.error(f"there is no proof called {', '.join(sorted(unknown))}")
    found: dict[str, Any] = {"machine": facts.machine().label}
    for name in options.proofs or proofs:
        found[name] = proofs[name]()
        files.write_json(options.output, found)
    return DONE


if __name__ == "__main__":
    sys.exit(command.run(main))
