"""A case: one row of every axis and a batch size; its id, its command and why it may be impossible."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

from bench.axes.axis import AXES, Axis, Value, chosen_by, nearest
from bench.axes.compilers import COMPILERS
from bench.axes.devices import why_unusable
from bench.axes.feeds import FEEDS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS
from bench.record.measurement import CaseFields

Case = CaseFields

# A socket's name has 107 bytes at most on Linux and 103 on macOS, of which multiprocessing takes 34 itself.
LONGEST_TEMPORARY_FOLDER = 69


def case_id(case: Case) -> str:
    """Readable and unique: what is always named, and the rest where it is not the reference's choice."""
    words = [axis.word(getattr(case, axis.field)) for axis in chosen_by(case)]
    return f"{case.workload}[{'-'.join(filter(None, words))}]"


def parse_id(text: str) -> Case:
    """The case that `case_id` calls so; the words in the brackets may be in any order.

    Raises:
        ValueError: There is no such case; the message says which word is not known, and names the nearest.
    """
    workload, bracket, rest = text.partition("[")
    if workload not in WORKLOADS or not bracket or not rest.endswith("]"):
        names = ", ".join(WORKLOADS)
        hint = nearest(workload, WORKLOADS)
        raise ValueError(f"{text!r} is no case: like step[cpu-b64-fp32], with one of {names} before the bracket{hint}")
    fields: dict[str, Any] = {}
    for word in _words(rest[:-1]):
        axis, value = _choice(text, word)
        if axis.field in fields:
            raise ValueError(f"{text!r} is no case: it names its {axis.label} twice")
        fields[axis.field] = value
    for axis in AXES:
        if axis.field in ("device", "batch_size") and axis.field not in fields:
            raise ValueError(f"{text!r} is no case: it names no {axis.label}")
    return Case(workload=workload, **{axis.field: fields.get(axis.field, axis.default) for axis in AXES[1:]})


def _words(text: str) -> Iterator[str]:
    """The words between the signs that part them; `reduce-overhead` and `max-autotune` hold that sign themselves."""
    for name in (name for axis in AXES for name in axis.rows or () if "-" in name):
        if f"-{name}" in text:
            text = text.replace(f"-{name}", "")
            yield name
    yield from text.split("-")


def _choice(text: str, word: str) -> tuple[Axis, Value]:
    for axis in AXES[1:]:
        if (value := axis.value(word)) is not None:
            return axis, value
    names = [axis.words.get(name, name) for axis in AXES[1:] for name in axis.rows or ()]
    labels = ", ".join(axis.label for axis in AXES[1:-1])
    raise ValueError(f"{text!r} is no case: {word!r} is no {labels} or {AXES[-1].label}{nearest(word, names)}")


def command_words(case: Case, *, dataset: str = "MNIST", program: str | None = None) -> list[str]:
    """The options that choose this case and no other: all that name something, and the rest where it is not usual."""
    words = ["--program", program] if program else ["--workload", case.workload]
    for axis in chosen_by(case):
        value = getattr(case, axis.field)
        if isinstance(value, bool):
            words += [f"--{axis.option}"] if value else []
        elif axis.rows is not None or axis.always_named or value != axis.default:
            words += [f"--{axis.option}", str(value)]
    return [*words, "--dataset", dataset] if dataset != "MNIST" else words


def why_impossible(case: Case, train_images: int | None) -> str | None:
    """The first reason why this case cannot be measured here, or None. Asks the rows, the device first.

    Args:
        case: Which.
        train_images: How many there are; None of a program of the user's own, which has its own.
    """
    if reason := why_unusable(case.device):
        return reason
    if WORKLOADS[case.workload].own:
        if train_images is not None:
            return "no program was named: --program FILE.py"
        given = [axis.label for axis in AXES if not axis.own and getattr(case, axis.field) != axis.default]
        chosen = [label for label in given if label != "workload"]
        return f"a program of your own decides its {chosen[0]} itself" if chosen else None
    if train_images is None:
        return "a program of your own was named, and this is a case of the reference network"
    for row in (PRECISIONS[case.precision], COMPILERS[case.compiler], FEEDS[case.feed]):
        if reason := row.why_not(case.device):
            return reason
    if case.batch_size > train_images:
        return f"the dataset has only {train_images:,} training images"
    if case.feed == "loader" and WORKLOADS[case.workload].repetition == "step":
        return "a step takes its batches ready-made: the loader belongs to whole epochs"
    if case.feed != "loader" and (case.num_workers or case.pin_memory):
        return f"workers and pinned memory belong to the loader, the feed is {case.feed}"
    if case.num_workers and (folder := tempfile.gettempdir()) and len(folder.encode()) > LONGEST_TEMPORARY_FOLDER:
        return f"worker processes talk through a socket in {folder}, whose name is too long for one: set TMPDIR"
    if case.pin_memory and case.device != "cuda":
        return f"pinned memory speeds copies to a CUDA GPU, the device is {case.device}"
    if case.workload == "optimizer" and PRECISIONS[case.precision].use_scaler:
        return "gradient scaling changes the gradients at every update, so the update cannot be repeated alone"
    if COMPILERS[case.compiler].captured and PRECISIONS[case.precision].use_scaler:
        return "gradient scaling lets the host look at the gradients in every step, which a CUDA graph cannot hold"
    if case.workload == "optimizer" and COMPILERS[case.compiler].mode:
        return "the compiler axis compiles the model; the optimizer alone would run eagerly all the same"
    return None
