"""Whether what compile time and median predict comes true: many steps in fresh processes, by the stopwatch."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.sampling import measure
from bench.record import files
from bench.suite import cold, workloads
from bench.suite.images import images
from bench.workers.process import answer_requests, ask_module
from fcnn.source import data_root

STEPS = 30_000
LIMIT_SECONDS = 1800.0  # for that many steps, compiling included


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
    with files.scratch() as cache:
        if case.compiler != "off":
            compile_seconds = cold.compile_seconds(case, [case.batch_size], cache)
        with cold.compiler_cache(cache):
            return compile_seconds, measure(workloads.step(case, images("MNIST", None)).repeat).summary.median


def _stopwatch(case: Case, steps: int) -> float:
    """Seconds of so many steps in a fresh process, compiling included."""
    with files.scratch() as cache:
        request = {"case": dataclasses.asdict(case), "steps": steps, "data": str(data_root().resolve())}
        variables = cold.empty_compiler_caches(cache)
        what = f"{steps:,} steps"
        return float(ask_module("bench.suite.prediction", request, LIMIT_SECONDS, what, **variables))


def many_steps(asked: dict[str, Any]) -> float:
    """Answers `{"case", "steps", "data"}` with seconds."""
    case = Case(**asked["case"])
    settings.apply(case)
    repeat = workloads.step(case, images("MNIST", Path(asked["data"]))).repeat
    return Clock(DEVICES[case.device]).time_block(repeat, asked["steps"]).host_seconds


if __name__ == "__main__":
    answer_requests(many_steps)
