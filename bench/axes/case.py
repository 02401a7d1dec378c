"""A case: one row of every axis and a batch size; its id, its command and why it may be impossible."""

from __future__ import annotations

import tempfile
from typing import Any

from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES, why_unusable
from bench.axes.feeds import FEEDS
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS
from bench.record.model import CaseFields

Case = CaseFields

# A socket's name has 107 bytes at most on Linux and 103 on macOS, of which multiprocessing takes 34 itself.
LONGEST_TEMPORARY_FOLDER = 69
# A token of the id by compiler: the default has none.
COMPILER_TOKENS = {name: {"off": "", "default": "compile"}.get(name, name) for name in COMPILERS}
BATCH_SIZES = tuple(2**power for power in range(15))


def case_id(case: Case) -> str:
    """Readable and unique: device, batch size and precision always, the rest where it is not the default.

    In a planned case `threads` 0 stands for the machine's default, which the record replaces by its number.
    """
    parts = [
        case.device,
        f"b{case.batch_size}",
        case.precision,
        COMPILER_TOKENS[case.compiler],
        "" if case.optimizer == "adam" else case.optimizer,
        "" if case.feed == WORKLOADS[case.workload].default_feed else case.feed,
        f"w{case.num_workers}" if case.num_workers else "",
        "pinned" if case.pin_memory else "",
        f"t{case.threads}" if case.threads else "",
    ]
    return f"{case.workload}[{'-'.join(part for part in parts if part)}]"


def parse_id(text: str) -> Case:
    """The case that `case_id` calls so; the tokens after the device may be in any order.

    Raises:
        ValueError: There is no such case; the message says which word is not known.
    """
    workload, bracket, rest = text.partition("[")
    if workload not in WORKLOADS or not bracket or not rest.endswith("]"):
        names = ", ".join(WORKLOADS)
        raise ValueError(f"{text!r} is no case: like step[cpu-b64-fp32], with one of {names} before the bracket")
    defaults = {"precision": "fp32", "compiler": "off", "optimizer": "adam", "threads": 0}
    defaults["feed"] = WORKLOADS[workload].default_feed
    fields: dict[str, Any] = {}
    rest = rest[:-1]
    for name in COMPILERS:  # "reduce-overhead" and "max-autotune" hold the sign that parts the words
        if "-" in name and f"-{name}" in rest:
            fields["compiler"], rest = name, rest.replace(f"-{name}", "")
    for word in rest.split("-"):
        found = _field(text, word)
        if set(found) & set(fields):
            raise ValueError(f"{text!r} is no case: it names its {next(iter(found)).replace('_', ' ')} twice")
        fields |= found
    if missing := [name for name in ("device", "batch_size") if name not in fields]:
        raise ValueError(f"{text!r} is no case: it names no {missing[0].replace('_', ' ')}")
    return Case(workload=workload, **{**defaults, **fields})


def _field(text: str, word: str) -> dict[str, Any]:
    for name, rows in (("device", DEVICES), ("precision", PRECISIONS), ("optimizer", OPTIMIZERS), ("feed", FEEDS)):
        if word in rows:
            return {name: word}
    for name, token in COMPILER_TOKENS.items():
        if token and word == token:
            return {"compiler": name}
    if word == "pinned":
        return {"pin_memory": True}
    number = {"b": "batch_size", "w": "num_workers", "t": "threads"}.get(word[:1])
    if number and word[1:].isdecimal() and (number != "batch_size" or int(word[1:]) in BATCH_SIZES):
        return {number: int(word[1:])}
    raise ValueError(f"{text!r} is no case: {word!r} is no device, batch size, precision, compiler, optimizer or feed")


def command_words(case: Case, *, dataset: str = "MNIST") -> list[str]:
    """The options that choose this case and no other."""
    words = ["--workload", case.workload, "--device", case.device]
    words += ["--batch", str(case.batch_size), "--precision", case.precision, "--compile", case.compiler]
    words += ["--optimizer", case.optimizer, "--feed", case.feed]
    words += ["--threads", str(case.threads)] if case.threads else []
    words += ["--num-workers", str(case.num_workers)] if case.num_workers else []
    words += ["--pin-memory"] if case.pin_memory else []
    words += ["--dataset", dataset] if dataset != "MNIST" else []
    return words


def why_impossible(case: Case, train_images: int) -> str | None:
    """The first reason why this case cannot be measured here, or None. Asks the rows, the device first."""
    if reason := why_unusable(case.device):
        return reason
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
