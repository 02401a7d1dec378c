"""Whether what compile time and median predict comes true: many steps in fresh processes, by the stopwatch."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.sampling import measure
from bench.suite import cold, workloads
from bench.suite.fresh import ask, empty_compiler_caches
from bench.suite.session import images
from fcnn.source import data_root

STEPS = 30_000


def reference_case(**changes: Any) -> Case:
    """The eager step at batch 64 on the CPU, or what differs from it."""
    case = Case("step", "cpu", 64, "fp32", "off", "adam", "resident", threads=settings.default_threads())
    return dataclasses.replace(case, **changes)


def payoff() -> list[dict[str, Any]]:
    """Seconds for many steps in fresh processes against the prediction: compile time, and steps at the median."""
    found = []
    for precision, compiler in itertools.product(("fp32", "bf16"), ("off", "default")):
        case = reference_case(precision=precision, compiler=compiler)
        settings.apply(case)
        compile_seconds, step_seconds = _predict(case)
        predicted, took = compile_seconds + STEPS * step_seconds, _stopwatch(case, STEPS)
        what = f"{STEPS:,} steps {precision} {compiler}"
        print(f"payoff: {what}: {predicted:.1f} s predicted, {took:.1f} s taken, {predicted / took - 1:+.1%}")
        found.append({"precision": precision, "compiler": compiler, "compile_seconds": compile_seconds,
                      "step_seconds": step_seconds, "predicted_seconds": predicted, "taken_seconds": took})  # fmt: skip
    return found


def _predict(case: Case) -> tuple[float, float]:
    """Seconds that compiling the case takes, 0 if it is eager, and seconds a step."""
    compile_seconds = 0.0
    with tempfile.TemporaryDirectory() as cache:
        if case.compiler != "off":
            compile_seconds = cold.compile_seconds(case, [case.batch_size], Path(cache))
        with cold.compiler_cache(Path(cache)):
            return compile_seconds, measure(workloads.step(case, images("MNIST", None)).repeat).summary.median


def _stopwatch(case: Case, steps: int) -> float:
    """Seconds of so many steps in a fresh process, compiling included."""
    with tempfile.TemporaryDirectory() as cache:
        request = {"case": dataclasses.asdict(case), "steps": steps, "data": str(data_root().resolve())}
        return float(ask("bench.suite.prediction", request, **empty_compiler_caches(Path(cache))))


def main() -> None:
    """Answers one request: `{"case", "steps", "data"}`."""
    asked = json.loads(sys.stdin.read())
    case = Case(**asked["case"])
    settings.apply(case)
    repeat = workloads.step(case, images("MNIST", Path(asked["data"]))).repeat
    print(Clock(DEVICES[case.device]).time_block(repeat, asked["steps"]).host_seconds)


if __name__ == "__main__":
    main()
