"""Whether what compile time and median predict comes true: many steps in fresh processes, by the stopwatch."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

from bench.axes.case import Case
from bench.measure import settings
from bench.measure.sampling import measure
from bench.record import files
from bench.workers import cold, workloads
from bench.workers.images import images, requested
from bench.workers.process import ask_once, empty_compiler_caches

PREDICTED_STEPS = 30_000
LIMIT_SECONDS = 1800.0  # for that many steps, compiling included


def reference_case(**changes: Any) -> Case:
    """The eager step at batch 64 on the CPU, or what differs from it."""
    case = Case(threads=settings.default_threads())
    return dataclasses.replace(case, **changes)


def payoff() -> list[dict[str, Any]]:
    """Seconds for many steps in fresh processes against the prediction: compile time, and steps at the median."""
    rows = []
    for precision, compiler in itertools.product(("fp32", "bf16"), ("off", "default")):
        case = reference_case(precision=precision, compiler=compiler)
        settings.apply(case)
        compile_seconds, step_seconds = _predict(case)
        predicted, took = compile_seconds + PREDICTED_STEPS * step_seconds, _stopwatch(case, PREDICTED_STEPS)
        what = f"{PREDICTED_STEPS:,} steps {precision} {compiler}"
        print(f"payoff: {what}: {predicted:.1f} s predicted, {took:.1f} s taken, {predicted / took - 1:+.1%}")
        rows.append({"precision": precision, "compiler": compiler, "compile_seconds": compile_seconds,
                     "step_seconds": step_seconds, "predicted_seconds": predicted, "taken_seconds": took})  # fmt: skip
    return rows


def _predict(case: Case) -> tuple[float, float]:
    """Seconds that compiling the case takes, 0 if it is eager, and seconds per step."""
    compile_seconds = 0.0
    with files.scratch() as cache:
        if case.compiler != "off":
            sizes, fields = [case.batch_size], dataclasses.asdict(case)
            compile_seconds = ask_once(
                "compile_cold", LIMIT_SECONDS, "compiling", empty_compiler_caches(cache),
                case=fields, batch_sizes=sizes,
            )  # fmt: skip
            cold.use_cache(str(cache))
        return compile_seconds, measure(workloads.step(case, images("MNIST", None)).repeat).summary.time


def _stopwatch(case: Case, steps: int) -> float:
    """Seconds of so many steps in a fresh process, compiling included."""
    with files.scratch() as cache:
        request = requested(images("MNIST", None), "MNIST", None)
        variables = empty_compiler_caches(Path(cache))
        case_fields = dataclasses.asdict(case)
        what = f"{steps:,} steps"
        return float(ask_once("many_steps", LIMIT_SECONDS, what, variables, case=case_fields, steps=steps, **request))
