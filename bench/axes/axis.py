"""The axes: every choice of a case once. Ids, options, columns, captions and comparisons iterate over `AXES`.

A new axis is a field of `bench.record.measurement.CaseFields`, whose default is the reference's choice, and a row here.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.feeds import FEEDS
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS, workload
from bench.record.measurement import CaseFields

Value = str | int | bool
_REFERENCE: dict[str, Any] = {one.name: one.default for one in dataclasses.fields(CaseFields)}


@dataclass(frozen=True)
class Axis:
    """One choice of a case.

    Attributes:
        field: The case's field.
        option: On the command line, where several values multiply the matrix.
        heading: Of its column.
        help: What it chooses.
        rows: What can be chosen, by name; None for a number, and for yes or no.
        mark: What an id has for it: before a number, or alone for yes.
        words: By name, what an id has instead of it; nothing for what it need not say.
        always_named: Whether an id names the default, too.
        varies_step: Whether it is another way to compute the same step.
        feed: The only feed that it is a choice of; None if it is one of all.
        hyperparameter: The field of `fcnn.hyperparameters.Hyperparameters` that it sets; None if it sets none.
        planned: What stands for the default in a planned case, where that depends on the machine.
        own: Whether it is a choice for a program of the user's own, too, and not that program's.
    """

    field: str
    option: str
    heading: str
    help: str
    rows: Mapping[str, object] | None = None
    mark: str = ""
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    always_named: bool = False
    varies_step: bool = False
    feed: str | None = None
    hyperparameter: str | None = None
    planned: Value | None = None
    own: bool = False

    @property
    def default(self) -> Value:
        """What is chosen where nothing is: the reference's choice."""
        reference: Value = _REFERENCE[self.field]
        return reference if self.planned is None else self.planned

    @property
    def label(self) -> str:
        """What it is called in a sentence."""
        return self.field.replace("_", " ")

    def word(self, value: Value) -> str:
        """The value's word in an id; empty for what is left out."""
        if value == self.default and not self.always_named:
            return ""
        if self.rows is not None:
            return self.words.get(str(value), str(value))
        return self.mark if isinstance(value, bool) else f"{self.mark}{value}"

    def value(self, word: str) -> Value | None:
        """What the word of an id stands for; None if it is none of this axis."""
        if self.rows is not None:
            return next((name for name in self.rows if word and self.words.get(name, name) == word), None)
        if isinstance(self.default, bool):
            return True if word == self.mark else None
        number = word.removeprefix(self.mark)
        return int(number) if word != number and number.isdecimal() and int(number) > 0 else None

    def shown(self, value: Value) -> str:
        """The value in a table."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:,}" if isinstance(value, int) else value


AXES = (
    Axis("workload", "workload", "Part", "what is timed", WORKLOADS, always_named=True),
    Axis("device", "device", "Device",
         "where it runs, a GPU also by its number, like cuda:1 (default the CPU and every accelerator here)", DEVICES,
         always_named=True, own=True),
    Axis("batch_size", "batch", "Batch", "images per step", mark="b", always_named=True, own=True),
    Axis("precision", "precision", "Precision", "number format", PRECISIONS, always_named=True, varies_step=True),
    Axis("compiler", "compile", "Compile", "mode of torch.compile, or the whole step as a CUDA graph", COMPILERS,
         words={"off": "", "default": "compile"}, varies_step=True),
    Axis("optimizer", "optimizer", "Optimizer", "implementation of Adam", OPTIMIZERS, varies_step=True),
    Axis("feed", "feed", "Feed",
         "where the images come from (default resident; on an accelerator device, too, for three or more batch sizes)",
         FEEDS),
    Axis("hidden_size", "hidden-size", "Hidden", "units of the hidden layer", mark="h", hyperparameter="hidden_size"),
    Axis("num_workers", "num-workers", "Workers", "worker processes of the loader", mark="w", feed="loader"),
    Axis("pin_memory", "pin-memory", "Pinned", "pinned memory in the loader", mark="pinned", feed="loader"),
    # In a planned case 0 stands for the machine's default, which a record replaces by its number.
    Axis("threads", "threads", "Threads", "CPU threads (default the cores that this process may use)", mark="t",
         planned=0, own=True),
)  # fmt: skip


def chosen_by(case: CaseFields) -> list[Axis]:
    """The axes that are a choice of this case, beside its workload: all, or those that its program leaves to it."""
    own = workload(case.workload).own
    return [axis for axis in AXES if axis.field != "workload" and (axis.own or not own)]


def nearest(word: str, names: Iterable[str]) -> str:
    """`: did you mean NAME?` for a misspelt word; empty if none is near."""
    matches = difflib.get_close_matches(word, list(names), 1)
    return f": did you mean {matches[0]}?" if matches else ""


def hyperparameters(case: CaseFields) -> dict[str, Any]:
    """What a case sets of `fcnn.hyperparameters.Hyperparameters`, where that is not the reference's."""
    chosen = {axis.hyperparameter: (getattr(case, axis.field), axis.default) for axis in AXES if axis.hyperparameter}
    return {name: value for name, (value, default) in chosen.items() if value != default}


def is_plain(case: CaseFields) -> bool:
    """Whether its steps are the reference's, computed in its way: of its size, eager, in fp32, with plain Adam."""
    return all(getattr(case, axis.field) == axis.default for axis in AXES if axis.varies_step or axis.hyperparameter)
