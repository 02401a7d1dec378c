"""The records that the working tree is compared with: of this machine and these images, of cases that still exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analyse.trust import judged, objections
from bench.axes.axis import AXES
from bench.axes.case import Case, why_impossible
from bench.axes.workloads import workload
from bench.errors import BenchError, not_comparable
from bench.measure import facts
from bench.record import store
from bench.record.measurement import Measurement
from bench.record.model import TIMING_RULE_VERSION, Record
from fcnn.data import Images

DEFAULT_ID = "step[cpu-b64-fp32]"


def read_baseline(paths: Sequence[Path], images: Images) -> list[Record]:
    """The records, of this kind of machine, these images and today's timing rules.

    Raises:
        BenchError: One is not; the message names it and both values.
    """
    records = []
    for path in paths:
        try:
            record = store.read(path)
        except BenchError as error:
            raise not_comparable(str(error)) from error
        if record.timing_rule_version != TIMING_RULE_VERSION:
            rules = f"timing rules {record.timing_rule_version}, this program measures by rules {TIMING_RULE_VERSION}"
            raise not_comparable(f"{path} was taken under {rules}: measure it again")
        here = facts.machine()
        if record.machine.slug != here.slug:
            raise not_comparable(f"{path} is of another machine: {record.machine.label}, this is {here.label}")
        if record.dataset.sha256 != images.sha256:
            raise not_comparable(f"{path} is of other images: {record.dataset.label}, here are {images.label}")
        records.append(judged(record))
    return records


def chosen(records: Sequence[Record], *, everything: bool, train_images: int) -> dict[str, list[Measurement]]:
    """The cases to measure again, by id, with what each record saw of them.

    Args:
        records: The baseline.
        everything: All eager steps and parts of a step in the first record, not the step at batch 64 alone.
        train_images: Training images here.

    Raises:
        BenchError: A record lacks a case, bars it by a flag, or this program cannot measure it any more.
    """
    first = {m.id: m for m in records[0].measurements}
    ids = [DEFAULT_ID]
    if everything:
        plain = {id: m for id, m in first.items() if _repeats_steps(m) and m.case.compiler == "off"}
        ids = [id for id, measurement in plain.items() if not objections(measurement, to_other_runs=True)]
    by_id: dict[str, list[Measurement]] = {}
    for id in ids:
        for record in records:
            measurement = next((m for m in record.measurements if m.id == id), None)
            if measurement is None:
                raise not_comparable(f"the record of {record.created_utc} has no {id}: nothing to compare with")
            if names := objections(measurement, to_other_runs=True):
                raise not_comparable(f"{id} is flagged in the record of {record.created_utc}: {', '.join(names)}")
            by_id.setdefault(id, []).append(measurement)
        if len({m.case for m in by_id[id]}) > 1:
            raise not_comparable(f"the records' {id} differ in their threads")
        if reason := _vanished(by_id[id][0].case, train_images):
            raise not_comparable(f"{id} is in the baseline and has vanished here: {reason}")
    if not by_id:
        raise not_comparable(f"the record of {records[0].created_utc} has no step that could be compared with")
    return by_id


def _repeats_steps(measurement: Measurement) -> bool:
    return workload(measurement.case.workload).repetition == "step"  # also of one that is gone, which has vanished


def _vanished(case: Case, train_images: int) -> str | None:
    for axis in AXES:
        if axis.rows is not None and (value := getattr(case, axis.field)) not in axis.rows:
            return f"there is no {axis.label} {value!r}"
    return why_impossible(case, train_images)
