"""From options to cases: the same options for `fcnn-bench run` and for pytest, and the two planned matrices."""

from __future__ import annotations

import argparse
import importlib.machinery
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.axes.axis import AXES, Axis, Value, nearest
from bench.axes.case import Case
from bench.axes.devices import DEVICES, gpu_number
from bench.axes.feeds import FEEDS
from bench.axes.workloads import STEP_WORKLOADS
from bench.errors import USAGE, BenchError

Choices = Mapping[str, Sequence[Value]]  # values by the case's field, which multiply
DATASETS = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST")


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def path(text: str) -> Path:
    """A path for argparse, with `~` as a shell would have it: no shell sees it in `--results=~/here`."""
    if not text:  # as of a variable that is not set, and pathlib's current folder
        raise argparse.ArgumentTypeError("an empty path")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def device(text: str) -> str:
    """A device for argparse, a GPU also by its number."""
    try:
        gpu_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}{nearest(text, DEVICES)}") from error
    return text


class Values(argparse.Action):
    """An option with several values, in words of their own or with commas between them: `--batch 1 64`, `1,64`."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Keeps them as one list."""
        setattr(namespace, self.dest, [value for word in values for value in word])


def _values(axis: Axis) -> Callable[[str], list[Value]]:
    """The values in a word of an axis's option, for argparse."""

    def one(text: str) -> Value:
        if axis.field == "device":
            return device(text)
        if axis.rows is None:
            return whole(text)
        if text not in axis.rows:
            names = ", ".join(axis.rows)
            raise argparse.ArgumentTypeError(f"{text!r} is none of {names}{nearest(text, axis.rows)}")
        return text

    return lambda text: [one(word) for word in text.split(",")]


def _help(axis: Axis) -> str:
    """What is chosen and the default, then the choices, each with what it means."""
    default = "" if "default" in axis.help else f" (default {axis.default})"
    first = f"{axis.help}{'' if isinstance(axis.default, bool) else default}"
    meanings = {name: getattr(row, "meaning", "") for name, row in (axis.rows or {}).items()}
    if not any(meanings.values()):
        return f"{first}: {', '.join(meanings)}" if meanings else first
    return "\n".join([first, *(f"  {name}: {meaning}" for name, meaning in meanings.items())])


def add_options(add: Callable[..., Any], prefix: str = "") -> None:
    """Declares the options through `add`, which is argparse's `add_argument` or pytest's `addoption`."""
    for one in (add_axes, add_effort, add_places):
        one(add, prefix)


def add_axes(add: Callable[..., Any], prefix: str = "") -> None:
    """Those of the axes, of which several values multiply."""
    for axis in AXES:
        name = f"--{prefix}{axis.option}"
        if isinstance(axis.default, bool):
            add(name, action="store_true", default=None, help=axis.help)
        else:
            metavar = "NAME" if axis.rows else "N"
            add(name, nargs="+", action=Values, type=_values(axis), default=None, help=_help(axis), metavar=metavar)


def add_effort(add: Callable[..., Any], prefix: str = "") -> None:
    """Those of how much is measured."""
    add(f"--{prefix}seeds", type=whole, default=5, metavar="N", help="seeds per accuracy case (default 5)")
    add(f"--{prefix}epochs", type=whole, default=5, metavar="N", help="fewest epochs timed per epoch case (default 5)")
    add(
        f"--{prefix}budget",
        type=_seconds,
        default=None,
        metavar="SECONDS",
        help="seconds of samples per step case; an epoch case gets 4 times that (default 1)",
    )


def add_places(add: Callable[..., Any], prefix: str = "") -> None:
    """Those of where the images are, and where results go."""
    add(f"--{prefix}dataset", choices=DATASETS, default=None, help=f"which images (default {DATASETS[0]})")
    add(
        f"--{prefix}data",
        type=path,
        default=None,
        metavar="DIR",
        help="where the images are (default FCNN_DATA, else the user's cache folder)",
    )
    add(
        f"--{prefix}results",
        type=path,
        default=Path("results"),
        metavar="DIR",
        help="where the run's folder goes (default results)",
    )


def refuse_sizes(add: Callable[..., Any], why: str) -> None:
    """Declares the options that change the network, for a verb that knows the reference's alone, which says so."""

    class Refused(argparse.Action):
        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            parser.error(f"argument {option_string}: {why}")

    for axis in AXES:
        if axis.hyperparameter:
            add(f"--{axis.option}", action=Refused, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def option_names() -> list[str]:
    """The options that `add_options` declares, with underscores and without a prefix."""
    names: list[str] = []
    add_options(lambda flag, **_: names.append(flag[2:].replace("-", "_")))
    return names


def devices_here() -> list[str]:
    """The CPU, CUDA even where it is missing (its row then says why), and any other accelerator that is here."""
    return [name for name, row in DEVICES.items() if name in ("cpu", "cuda") or not row.why_missing()]


def cases(options: Mapping[str, Any], plan: str, devices: Sequence[str]) -> list[Case]:
    """The cases that `options` choose; the named plan if they choose nothing but `EVERYWHERE`.

    Where they choose `SWEPT` batch sizes or more and no feed, an accelerator's steps have its own memory's images, too.

    Args:
        options: Values by option name with underscores, as `add_options` declares them; None is not chosen.
        plan: `"quick"` for the report in a minute, `"suite"` for pytest's three minutes.
        devices: Those that count where none is chosen.
    """
    chosen = {"device": devices, **_chosen(options)}
    blocks: list[Choices] = PLANS[plan] if is_planned(options) else [{}]
    if not is_planned(options) and _is_sweep(chosen):
        blocks = [{}, {"workload": ["step"], "device": ACCELERATORS, "feed": ["device"]}]
    return list(dict.fromkeys(case for block in blocks for case in _product(_among(chosen, block))))


def _is_sweep(chosen: Choices) -> bool:
    """Whether steps of several batch sizes are chosen, and where their images lie is not."""
    is_step = "step" in chosen.get("workload", ["step"])
    return is_step and "feed" not in chosen and len(set(chosen.get("batch_size", ()))) >= SWEPT


def _among(chosen: Choices, block: Choices) -> Choices:
    """A block on all devices that count or, if it names some, on those of them that count."""
    return {**chosen, **block, "device": [one for one in chosen["device"] if one in block.get("device", [one])]}


def of_program(options: Mapping[str, Any], program: Path) -> dict[str, Any]:
    """What `options` become for a program of the user's own.

    Raises:
        BenchError: They choose what that program decides itself.
    """
    given = [axis.option for axis in AXES if not axis.own and options[axis.option.replace("-", "_")] is not None]
    given += [name for name in ("dataset", "data") if options[name] is not None]
    refuse_given(given)
    return {"program": program, "workload": ["program"]}


def program_file(path: Path) -> Path:
    """The file with a program of the user's own, its links followed.

    Raises:
        BenchError: There is no such file, or no Python imports it.
    """
    if not path.is_file():
        raise BenchError(f"argument --program: there is no file {path}", USAGE)
    real = path.resolve()
    if not real.name.endswith(tuple(importlib.machinery.all_suffixes())):
        raise BenchError(f"argument --program: {path} is no Python file, whose name ends in .py", USAGE)
    return real


def refuse_given(options: Sequence[str]) -> None:
    """Raises BenchError for the first of the options that a program of the user's own decides itself."""
    if options:
        raise BenchError(f"argument --{options[0]}: with --program, that is decided by the program itself", USAGE)


def filled(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with the usual images where they choose none."""
    return {**options, "dataset": options["dataset"] or DATASETS[0]}


def is_planned(options: Mapping[str, Any]) -> bool:
    """Whether `options` leave the matrix to a plan: they choose nothing but `EVERYWHERE`."""
    return not set(_chosen(options)) - set(EVERYWHERE)


def _chosen(options: Mapping[str, Any]) -> dict[str, Sequence[Value]]:
    given = {axis.field: options[axis.option.replace("-", "_")] for axis in AXES}
    return {
        name: value if isinstance(value, list | tuple) else [value]
        for name, value in given.items()
        if value is not None
    }


def _product(block: Choices) -> Iterator[Case]:
    for values in itertools.product(*(block.get(axis.field, [axis.default]) for axis in AXES)):
        fields: dict[str, Any] = dict(zip((axis.field for axis in AXES), values, strict=True))
        of_others = {axis.field: axis.default for axis in AXES if axis.feed not in (None, fields["feed"])}
        yield Case(**{**fields, **of_others})


# What may be chosen and still leaves the matrix to a plan: it holds for all of its cases that can have it.
EVERYWHERE = ("device", "threads", "num_workers", "pin_memory")
ACCELERATORS = [name for name in DEVICES if name != "cpu"]
SWEEP = [1, 4, 16, 64, 256, 1024, 4096, 16384]
SWEPT = 3  # batch sizes: from so many on a crossover of two devices is looked for
POWERS_OF_TWO = [2**power for power in range(15)]
# On an accelerator, large batches from host memory are mostly copied: 6 of 7 ms at 16,384 images on an H200. What the
# device can do shows with the images in its own memory, so the sweep is done with both.
# The quick plan leaves out compiling: from cold it takes a quarter of the minute that the whole report may take.
PLANS: dict[str, list[Choices]] = {
    "quick": [
        {"workload": STEP_WORKLOADS},
        {"batch_size": SWEEP, "device": ["cpu"]},
        {"batch_size": SWEEP, "device": ACCELERATORS, "feed": ["device"]},
        {"batch_size": [64, 1024, 4096, 16384], "device": ACCELERATORS},
        {"batch_size": [64], "precision": ["tf32", "bf16"]},
        {"batch_size": [4096], "device": ["cpu"], "precision": ["tf32", "bf16"]},
        {"batch_size": [4096], "device": ACCELERATORS, "precision": ["tf32", "bf16"], "feed": ["device"]},
        {"optimizer": ["foreach", "fused"]},
        {"device": ["cuda"], "compiler": ["graph"]},
        {"workload": ["inference"]},
        {"workload": ["epoch"], "feed": list(FEEDS)},
        {"workload": ["accuracy"]},
    ],
    "suite": [
        {"workload": STEP_WORKLOADS, "batch_size": [64, 1024]},
        {"workload": ["inference"], "batch_size": [1, 64, 1024]},
        {"batch_size": POWERS_OF_TWO},
        {"batch_size": POWERS_OF_TWO, "device": ACCELERATORS, "feed": ["device"]},
        {"batch_size": [1, 64, 1024, 4096], "precision": ["tf32", "bf16", "fp16"]},
        {"batch_size": [64, 4096], "optimizer": ["foreach", "fused"]},
        # "max-autotune" takes as long again from cold, for what "default" (CPU) or "reduce-overhead" (GPU) shows.
        {"compiler": ["default", "reduce-overhead"]},
        {"device": ["cuda"], "compiler": ["graph"], "batch_size": [64, 4096]},
        {"device": ["cuda"], "compiler": ["graph"], "workload": ["epoch"], "feed": ["resident", "device"]},
        {"workload": ["epoch"], "feed": list(FEEDS)},
        {"workload": ["epoch"], "feed": ["resident", "device"], "batch_size": [1024]},
        {"workload": ["accuracy"], "precision": ["fp32", "bf16"]},
    ],
}
