"""A program of the user's own: a file with one function, `make(device, batch_size, seed)`.

What it returns has `step()`, and may have `model`, `optimizer` and `evaluate()`. What it has not is not judged.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.errors import BenchError
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.counters import count
from bench.workers.turns import warm

if TYPE_CHECKING:
    from bench.workers.serve import State

MAKE, STEP, EVALUATE = "make", "step", "evaluate"
SEED = 0


@dataclass(frozen=True)
class Prepared:
    """What `bench.workers.turns.turn` repeats."""

    repeat: Callable[[], object]


def take(state: State, tree: str, file: str, folder: str) -> None:
    """A request: from now on, the worker's program is a file of a repository's tree.

    Args:
        state: Keeps which.
        tree: The folder with one side's files.
        file: The program's path in it.
        folder: Where the program's relative paths begin: for both sides the same.
    """
    path = Path(tree) / file
    # As of a script; and where a repository keeps its packages, before a copy of them that is installed.
    sys.path[:0] = list(dict.fromkeys(map(str, (path.parent, Path(tree), Path(tree) / "src"))))
    os.chdir(folder)
    state.tree, state.file = tree, file


def facts(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """`repetition_seconds` of a warm step, and whether it `evaluates`."""
    built = Case(**case)
    made = _made(state, built, SEED)
    seconds = warm(made.step, Clock(DEVICES[built.device]), 0.0)
    return {"repetition_seconds": seconds, "evaluates": callable(getattr(made, EVALUATE, None))}


def prepare(state: State, id: str, case: dict[str, Any], warm_seconds: float = 0.0) -> dict[str, Any]:
    """Makes the program and warms it up; no garbage is collected from then on. As `bench.workers.turns.prepare`."""
    gc.collect()
    gc.disable()
    built = Case(**case)
    clock = Clock(DEVICES[built.device])
    made = _made(state, built, SEED)
    state.cases[id] = built, clock, Prepared(made.step)
    return {"repetition_seconds": warm(made.step, clock, warm_seconds)}


def count_step(state: State, case: dict[str, Any], growth: bool) -> dict[str, Any]:
    """The exact counters of a step."""
    return _counted(state, case, STEP, growth)


def count_evaluation(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """The exact counters of an evaluation."""
    return _counted(state, case, EVALUATE, growth=False)


def learn(state: State, case: dict[str, Any], seed: int, steps: int) -> float:
    """What `evaluate()` says after so many steps from a seed."""
    made = _made(state, Case(**case), seed)
    for _ in range(steps):
        made.step()
    accuracy = float(made.evaluate())
    if not (math.isfinite(accuracy) and 0 <= accuracy <= 1):
        raise BenchError(f"{state.file}: evaluate() is to return an accuracy from 0 to 1, and returned {accuracy:g}")
    return accuracy


def _counted(state: State, case: dict[str, Any], name: str, growth: bool) -> dict[str, Any]:
    built = Case(**case)
    made = _made(state, built, SEED)
    model, optimizer = getattr(made, "model", None), getattr(made, "optimizer", None)
    parameters = [] if model is None else list(model.parameters())
    known = optimizer or SimpleNamespace(param_groups=[{"params": parameters}], state={})
    training: Any = SimpleNamespace(device=torch.device(DEVICES[built.device].torch_name), optimizer=known)
    counters = count(getattr(made, name), training, Clock(DEVICES[built.device]), growth=growth)
    return dataclasses.asdict(counters)


def _made(state: State, case: Case, seed: int) -> Any:
    settings.apply(case)
    make = getattr(_module(state), MAKE, None)
    if not callable(make):
        raise BenchError(f"{state.file}: defines no function {MAKE}(device, batch_size, seed)")
    made = make(DEVICES[case.device].torch_name, case.batch_size, seed)
    if not callable(getattr(made, STEP, None)):
        raise BenchError(f"{state.file}: {MAKE}() returned a {type(made).__name__}, which has no {STEP}()")
    return made


def _module(state: State) -> Any:
    path = Path(state.tree) / state.file
    name = f"program_{path.stem}"  # not the stem itself, which may be that of a library
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise BenchError(f"{state.file}: is no Python file")
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
