"""A program of the user's own: a file with one function, `make(device, batch_size, seed)`.

What it returns has `step()`, and may have `model`, `optimizer`, `evaluate()` and `images_per_step`. What it has not is
not measured.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import math
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from bench.axes.case import Case
from bench.axes.devices import DEVICES
from bench.errors import BenchError, reason_of
from bench.measure import settings
from bench.measure.clock import Clock
from bench.measure.compilation import graphs_compiled
from bench.measure.counters import count
from bench.workers.serve import place_of
from bench.workers.turns import warm
from bench.workers.workloads import Prepared

if TYPE_CHECKING:
    from bench.workers.serve import State

MAKE, STEP, EVALUATE, IMAGES = "make", "step", "evaluate", "images_per_step"
OPTIONAL = ("model", "optimizer", EVALUATE, IMAGES)
SEED = 0
LOOKS_AT_LEARNING = 5  # at what is learnt, in a training
OURS = ("bench", "fcnn")


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
    try:
        os.chdir(folder)
    except OSError as error:
        raise BenchError(f"{folder}, where the paths of {file} begin: {error.strerror}") from error
    state.tree, state.file, state.graphs = tree, file, _graphs()


def facts(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """The fields of `bench.suite.own.Facts`: what making it takes, a warm step, and which attributes it lacks."""
    which, begin = Case(**case), time.perf_counter()
    made = _made(state, which, SEED)
    return {
        "made_seconds": time.perf_counter() - begin,
        "repetition_seconds": warm(made.step, Clock(DEVICES[which.device]), 0.0),
        "images_per_step": _images(state, made),
        "lacks": [name for name in OPTIONAL if getattr(made, name, None) is None],
    }


def build(state: State, case: Case) -> Prepared:
    """The program, ready to be repeated."""
    made = _made(state, case, SEED)
    return Prepared(made.step, _images(state, made), _training(made, case), counted=made.step)


def count_step(state: State, case: dict[str, Any], growth: bool) -> dict[str, Any]:
    """The exact counters of a step."""
    return _counted(state, case, STEP, growth)


def count_evaluation(state: State, case: dict[str, Any]) -> dict[str, Any]:
    """The exact counters of an evaluation."""
    return _counted(state, case, EVALUATE, growth=False)


def learn(state: State, case: dict[str, Any], seed: int, steps: int) -> float:
    """What `evaluate()` says along so many steps from a seed: the mean of after a 16th, 8th, 4th, half and all of them.

    At the end alone, a step too far may cost more than learning half as fast does: of the README's program, 24 seeds
    said -0.9 points (-2.1 to -0.2) of half the learning rate.
    """
    made = _made(state, Case(**case), seed)
    looks = {max(1, steps >> halvings) for halvings in range(LOOKS_AT_LEARNING)}
    accuracies = []
    for done in range(1, steps + 1):
        made.step()
        if done in looks:
            accuracies.append(_evaluated(state, made))
    return math.fsum(accuracies) / len(accuracies)


def _evaluated(state: State, made: Any) -> float:
    """The accuracy; a model that learns goes on learning, whatever mode the evaluation left it in."""
    modules = made.model.modules() if hasattr(getattr(made, "model", None), "modules") else ()
    modes = [(module, module.training) for module in modules]
    accuracy = _accuracy(state, made.evaluate())
    for module, mode in modes:  # each its own: what the program has frozen stays so
        module.training = mode
    return accuracy


def _accuracy(state: State, returned: Any) -> float:
    wanted = f"{state.file}: evaluate() is to return an accuracy from 0 to 1"
    try:
        accuracy = float(returned)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor of several numbers raises the last
        raise BenchError(f"{wanted}, and returned a {type(returned).__name__}: {reason_of(error)}") from error
    if not (math.isfinite(accuracy) and 0 <= accuracy <= 1):
        raise BenchError(f"{wanted}, and returned {accuracy:g}")
    return accuracy


def _counted(state: State, case: dict[str, Any], name: str, growth: bool) -> dict[str, Any]:
    which = Case(**case)
    made = _made(state, which, SEED)
    repeat, clock = getattr(made, name), Clock(DEVICES[which.device])
    returned = repeat()
    if name == EVALUATE:
        _accuracy(state, returned)
    return dataclasses.asdict(count(repeat, _training(made, which), clock, compiled=compiles(state), growth=growth))


def compiles(state: State) -> bool:
    """Whether the program, which has done a step, has called torch.compile itself."""
    return _graphs() > state.graphs


def _graphs() -> int:
    return graphs_compiled() if "torch._dynamo" in sys.modules else 0


def _training(made: Any, case: Case) -> Any:
    """As much of `fcnn.train.Training` as counting needs."""
    model, optimizer = getattr(made, "model", None), getattr(made, "optimizer", None)
    groups = None if model is None else [{"params": list(model.parameters())}]
    known = optimizer or SimpleNamespace(param_groups=groups, state=None)
    return SimpleNamespace(device=torch.device(DEVICES[case.device].torch_name), optimizer=known)


def _images(state: State, made: Any) -> int | None:
    count = getattr(made, IMAGES, None)
    if count is None:
        return None
    if not isinstance(count, int) or count < 1:
        raise BenchError(f"{state.file}: {IMAGES} is to be a whole number of at least 1, and is {count!r}")
    return count


def _made(state: State, case: Case, seed: int) -> Any:
    settings.apply(case)
    make = getattr(_module(state), MAKE, None)
    if not callable(make):
        raise BenchError(f"{state.file}: defines no function {MAKE}(device, batch_size, seed)")
    arguments = DEVICES[case.device].torch_name, case.batch_size, seed
    try:
        inspect.signature(make).bind(*arguments)
    except ValueError:  # of what has no signature to be told
        pass
    except TypeError as error:
        raise BenchError(f"{state.file}: it is to be {MAKE}(device, batch_size, seed): {error}") from error
    made = make(*arguments)
    if not callable(getattr(made, STEP, None)):
        raise BenchError(f"{state.file}: {MAKE}() returned a {type(made).__name__}, which has no {STEP}()")
    for name, what in (("model", "parameters"), ("optimizer", "param_groups"), (EVALUATE, "__call__")):
        part = getattr(made, name, None)
        if part is not None and not hasattr(part, what):
            raise BenchError(f"{state.file}: {name} is a {type(part).__name__}, which has no {what}")
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
        except BaseException as error:
            del sys.modules[name]
            package = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
            if package in OURS:
                ours = f"a package of fcnn-bench is called {package}, too, and is imported first"
                raise BenchError(f"{state.file}: {error}: {ours}") from error
            if isinstance(error, ImportError) and "relative import with no known parent" in str(error):
                raise BenchError(place_of(error, state.tree) + _why_not_relative(state, error)) from error
            raise
    return sys.modules[name]


def _why_not_relative(state: State, error: ImportError) -> str:
    """The error of a relative import, and how a file is to import that is run as a script is."""
    folders = Path(state.file).parent.parts
    package = "".join(f"{folder}." for folder in folders[folders[:1] == ("src",) :])
    remedy = f"write `from {package}NAME import ...` in place of `from .NAME import ...`"
    return f"{reason_of(error)}: the file is imported as a script is: {remedy}"
