"""From a journal's lines to a record: what was seen, line by line, as measurements."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.axes.workloads import workload
from bench.record.journal import CALIBRATIONS_ONCE, INTERRUPTED, Line, failures, of_kind
from bench.record.measurement import (
    Accuracy,
    Breakdown,
    CaseFields,
    Compilation,
    Counters,
    DeviceUse,
    Energy,
    Flag,
    Measurement,
    Phases,
    StartUp,
)
from bench.record.model import (
    Beside,
    Calibration,
    Commit,
    Dataset,
    Machine,
    Program,
    Record,
    Round,
    Unmeasured,
)
from bench.text import one_line


def folded(lines: Sequence[Line]) -> Record:
    """The record of what the journal holds; partial if the run has not come to its end."""
    run, failed = lines[0], failures(lines)
    rounds = of_kind(lines, "round")
    samples = _samples(rounds, list(run["cases"]))
    measurements, unmeasured = [], []
    for id, planned in run["cases"].items():
        case = CaseFields(**planned["case"])
        if reason := planned["impossible"]:
            unmeasured.append(Unmeasured(id, case, "impossible", one_line(reason)))
        elif id in failed:
            unmeasured.append(Unmeasured(id, case, "failed", one_line(failed[id]) or "failed"))
        elif id not in samples:
            unmeasured.append(Unmeasured(id, case, INTERRUPTED, "the run was stopped before its turn"))
        else:
            measurements.append(_measurement(id, case, planned["command"], lines, samples[id]))
    return Record(
        created_utc=run["created_utc"],
        command=run["command"],
        duration_seconds=lines[-1]["at"],
        partial=not of_kind(lines, "end"),
        commit=run["commit"] and Commit(**run["commit"]),
        machine=Machine(**run["machine"]),
        environment=run["environment"],
        dataset=Dataset(**run["dataset"]),
        measurements=measurements,
        unmeasured=unmeasured,
        rounds=[_round(line) for line in rounds],
        calibrations=_calibrations(lines),
        program=_program(run.get("own_program")),
    )


def _program(own: Mapping[str, Any] | None) -> Program | None:
    return Program(**{**own, "commit": own["commit"] and Commit(**own["commit"])}) if own else None


def _samples(rounds: Iterable[Line], ids: Sequence[str]) -> dict[str, list[tuple[Line, int]]]:
    """By case, the rounds in which it had a turn and its place in them."""
    turns: dict[str, list[tuple[Line, int]]] = {}
    for line in rounds:
        for place, index in enumerate(line["order"]):
            turns.setdefault(ids[index], []).append((line, place))
    return turns


def _round(line: Line) -> Round:
    beside = Beside(**line["beside"])
    return Round(line["number"], line["group"], line["process"], line["took"], beside, line.get("disturbed"))


def _calibrations(lines: Sequence[Line]) -> list[Calibration]:
    """Those of the first calibration, with the samples of the last beside them, if these are of the same work."""
    probed = of_kind(lines, "calibration")
    if not probed:
        return []
    first, last = (line.get("calibrations") or line[CALIBRATIONS_ONCE] for line in (probed[0], probed[-1]))
    before = [Calibration(**one) for one in first]
    if len(probed) == 1:
        return before
    after = {(y["device"], y["name"], y["work_per_repetition"]): y["samples_seconds"] for y in last}
    return [
        dataclasses.replace(y, after_samples_seconds=after.get((y.device, y.name, y.work_per_repetition)) or None)
        for y in before
    ]


def _measurement(
    id: str, case: CaseFields, command: str, lines: Sequence[Line], samples: Sequence[tuple[Line, int]]
) -> Measurement:
    dataset = lines[0]["dataset"]
    row = workload(case.workload)
    whole = row.repetition != "step"
    steps = math.ceil(dataset["train_images"] / case.batch_size)
    images = dataset["train_images"] if whole else lines[0]["cases"][id].get("images_per_step", case.batch_size)
    prepared = [line for line in of_kind(lines, "prepared") if line["id"] == id]
    device = [line["device_seconds"][place] for line, place in samples if "device_seconds" in line]
    observed: Mapping[str, Any] = next((line for line in of_kind(lines, "observed") if line["id"] == id), {})
    trained = [line["trained"][place] for line, place in samples if "trained" in line]
    cold = next((line["cold_seconds"] for line in of_kind(lines, "compiled") if line["id"] == id), None)
    compilation = observed.get("compilation")
    return Measurement(
        id=id,
        case=case,
        command=command,
        samples_seconds=[line["seconds"][place] for line, place in samples],
        rounds=[line["number"] for line, _ in samples],
        device_samples_seconds=device if device and None not in device else None,
        block_repetitions=next(
            (line["repetitions"][id] for line in of_kind(lines, "sizes") if id in line["repetitions"]), 1
        ),
        images_per_repetition=images if row.forward else None,
        steps_per_epoch=steps if whole else None,
        last_batch_size=dataset["train_images"] - (steps - 1) * case.batch_size if whole else None,
        warmup_seconds=statistics.median(line["warmup_seconds"] for line in prepared),
        first_call_seconds=statistics.median(line["first_call_seconds"] for line in prepared),
        recompilations=sum(line["graphs"][place] for line, place in samples if "graphs" in line),
        timed_steps=next((line["steps"][id] for line in of_kind(lines, "sizes") if id in line.get("steps", {})), None),
        compilation=Compilation(cold, **compilation) if compilation and cold is not None else None,
        counters=_of(Counters, observed, "counters"),
        phases=_of(Phases, observed, "phases"),
        breakdown=_of(Breakdown, observed, "breakdown"),
        energy=_of(Energy, observed, "energy"),
        device_use=_of(DeviceUse, observed, "device_use"),
        accuracy=_accuracy(lines[0]["accuracy"], trained) if trained else None,
        start_ups=[StartUp(**line["start_up"]) for line in of_kind(lines, "started") if line["id"] == id],
        flags=[Flag(**flag) for flag in observed.get("flags", [])],
    )


def _of(kind: type[Any], observed: Mapping[str, Any], name: str) -> Any:
    fields = observed.get(name)
    return None if fields is None else kind(**fields)


def _accuracy(asked: Mapping[str, Any], trained: Sequence[Mapping[str, Any]]) -> Accuracy:
    return Accuracy(
        seeds=[one["seed"] for one in trained],
        epochs=asked["epochs"],
        test_accuracy_fraction=[one["test_accuracy_fraction"] for one in trained],
        train_accuracy_fraction=[one["train_accuracy_fraction"] for one in trained],
        target_fraction=asked["target_fraction"],
        max_epochs=asked["max_epochs"],
        seconds_to_target=[one["seconds_to_target"] for one in trained],
    )
