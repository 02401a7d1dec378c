"""From options to cases: the same options for `fcnn-bench run` and for pytest, and the two planned matrices."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.axes.case import BATCH_SIZES, Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES, gpu_number
from bench.axes.feeds import FEEDS
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS

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


def _batch_size(text: str) -> int:
    size = whole(text)
    if size not in BATCH_SIZES:
        raise argparse.ArgumentTypeError(f"{size} is not a power of two from 1 to {BATCH_SIZES[-1]:,}")
    return size


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
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


@dataclass(frozen=True)
class Axis:
    """An option that takes several values and multiplies the matrix; `field` is the case's field it sets."""

    option: str
    field: str
    help: str
    choices: Sequence[str] | None = None
    type: Callable[[str], object] = str
    metavar: str = "N"


AXES = (
    Axis("workload", "workload", "what is timed", tuple(WORKLOADS)),
    Axis(
        "device",
        "device",
        f"where: {', '.join(DEVICES)}, or a GPU by its number (cuda:1); default: the CPU and every accelerator here",
        None,
        device,
        "DEVICE",
    ),
    Axis("batch", "batch_size", "images a step, powers of two from 1 to 16384", None, _batch_size),
    Axis("precision", "precision", "number format", tuple(PRECISIONS)),
    Axis("compile", "compiler", "mode of torch.compile, or the whole step as a CUDA graph", tuple(COMPILERS)),
    Axis("optimizer", "optimizer", "implementation of Adam", tuple(OPTIMIZERS)),
    Axis("feed", "feed", "where the images come from", tuple(FEEDS)),
    Axis("threads", "threads", "CPU threads; default: the cores this process may use", None, whole),
)


def add_options(add: Callable[..., Any], prefix: str = "") -> None:
    """Declares the options through `add`, which is argparse's `add_argument` or pytest's `addoption`."""
    for axis in AXES:
        extra = {"choices": axis.choices} if axis.choices else {"type": axis.type}
        metavar = {} if axis.choices else {"metavar": axis.metavar}
        add(f"--{prefix}{axis.option}", nargs="+", default=None, help=axis.help, **extra, **metavar)
    add(
        f"--{prefix}num-workers",
        type=whole,
        default=0,
        metavar="N",
        help="worker processes of the loader feed",
    )
    add(f"--{prefix}pin-memory", action="store_true", help="pinned memory in the loader feed")
    add(f"--{prefix}seeds", type=whole, default=5, metavar="N", help="seeds of the accuracy workload (5)")
    add(f"--{prefix}epochs", type=whole, default=5, metavar="N", help="fewest epochs timed an epoch case (5)")
    add(
        f"--{prefix}budget",
        type=_seconds,
        default=None,
        metavar="S",
        help="most seconds of samples a step case, an epoch case 4 times that (1)",
    )
    add(f"--{prefix}dataset", choices=DATASETS, default="MNIST", help="which images (MNIST)")
    add(
        f"--{prefix}data",
        type=path,
        default=None,
        metavar="DIR",
        help="data root; else FCNN_DATA, else the cache",
    )
    add(
        f"--{prefix}results",
        type=path,
        default=Path("results"),
        metavar="DIR",
        help="results folder (results)",
    )


def option_names() -> list[str]:
    """The options that `add_options` declares, with underscores and without a prefix."""
    names: list[str] = []
    add_options(lambda flag, **_: names.append(flag[2:].replace("-", "_")))
    return names


def devices_here() -> list[str]:
    """The CPU, CUDA even where it is missing (its row then says why), and any other accelerator that is here."""
    return [name for name, row in DEVICES.items() if name in ("cpu", "cuda") or not row.why_missing()]


def cases(options: Mapping[str, Any], plan: str, devices: Sequence[str]) -> list[Case]:
    """The cases that `options` choose; the named plan if they choose nothing but devices or threads.

    Args:
        options: Values by option name with underscores (`AXES` and the loader's options); None is not chosen.
        plan: `"quick"` for the report in a minute, `"suite"` for pytest's three minutes.
        devices: Those that count where none is chosen.
    """
    chosen = _chosen(options)
    shared = {"num_workers": options["num_workers"], "pin_memory": options["pin_memory"]}
    everywhere = {"device": chosen.get("device", devices), "threads": chosen.get("threads", [0])}
    if not is_planned(options):
        blocks: list[dict[str, Sequence[Any]]] = [chosen]
    else:
        blocks = PLANS[plan]
    planned = (case for block in blocks for case in _product(_among(everywhere, block), shared))
    return list(dict.fromkeys(planned))


def _among(everywhere: Mapping[str, Sequence[Any]], block: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """A block on all devices that count or, if it names some, on those of them that count."""
    return {
        **everywhere,
        **block,
        "device": [device for device in everywhere["device"] if device in block.get("device", everywhere["device"])],
    }


def is_planned(options: Mapping[str, Any]) -> bool:
    """Whether `options` leave the matrix to a plan: they choose nothing but devices or threads."""
    return not set(_chosen(options)) - {"device", "threads"}


def _chosen(options: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    return {axis.field: options[axis.option] for axis in AXES if options[axis.option] is not None}


def _product(block: dict[str, Sequence[Any]], shared: dict[str, Any]) -> Iterator[Case]:
    defaults: dict[str, Sequence[Any]] = {
        "workload": ["step"],
        "batch_size": [64],
        "precision": ["fp32"],
        "compiler": ["off"],
        "optimizer": ["adam"],
        "feed": [None],
    }
    axes = {**defaults, **block}
    for values in itertools.product(*axes.values()):
        fields = dict(zip(axes, values, strict=True))
        fields["feed"] = fields["feed"] or WORKLOADS[fields["workload"]].default_feed
        yield Case(**fields, **(shared if fields["feed"] == "loader" else {}))


ACCELERATORS = [name for name in DEVICES if name != "cpu"]
PARTS = ["forward", "forward_backward", "optimizer", "step"]
SWEEP = [1, 4, 16, 64, 256, 1024, 4096, 16384]
# On an accelerator, large batches from host memory are mostly copied: 6 of 7 ms at 16,384 images on an H200. What the
# device can do shows with the images in its own memory, so the sweep is done with both.
# The quick plan leaves out compiling: from cold it takes a quarter of the minute that the whole report may take.
PLANS: dict[str, list[dict[str, Sequence[Any]]]] = {
    "quick": [
        {"workload": PARTS},
        {"batch_size": SWEEP, "device": ["cpu"]},
        {"batch_size": SWEEP, "device": ACCELERATORS, "feed": ["device"]},
        {"batch_size": [64, 1024, 4096, 16384], "device": ACCELERATORS},
        {"batch_size": [64], "precision": ["tf32", "bf16"]},
        {"batch_size": [4096], "device": ["cpu"], "precision": ["tf32", "bf16"]},
        {"batch_size": [4096], "device": ACCELERATORS, "precision": ["tf32", "bf16"], "feed": ["device"]},
        {"optimizer": ["foreach", "fused"]},
        {"device": ["cuda"], "compiler": ["graph"]},
        {"workload": ["epoch"], "feed": list(FEEDS)},
        {"workload": ["accuracy"]},
    ],
    "suite": [
        {"workload": PARTS, "batch_size": [64, 1024]},
        {"batch_size": BATCH_SIZES},
        {"batch_size": BATCH_SIZES, "device": ACCELERATORS, "feed": ["device"]},
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
