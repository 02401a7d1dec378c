"""The record: one run's measurements, raw, with all that is needed to judge and repeat them.

Everything is in SI units and the unit is in the name. Statistics are not stored: they are derived from the raw
samples by `bench.analyse`, so a better method can be applied to old records. `None` means not measured, never 0.

These types are the schema: `bench.record.typed` reads JSON by them, and `TypeAdapter(Record).json_schema()` of pydantic
writes it down as JSON Schema.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from bench.record.bounds import MinLen
from bench.record.kinds import (
    CommitId,
    Fact,
    Instant,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Sha256,
    Slug,
    Text,
    Unit,
)
from bench.record.measurement import CaseFields, Measurement

SCHEMA_VERSION = 2
TIMING_RULE_VERSION = 2
GROUPS = ("hardware", "software", "settings")  # of an environment; others may be there, too


@dataclass(frozen=True)
class Beside:
    """What went on beside a round; None where this system does not tell.

    Attributes:
        others_cores: Cores that other processes, and the hypervisor for others, kept busy.
        waited_cores: Threads of the round's process that could have run and had no core, on average.
        stopped_cores: Threads that the control group let wait for its quota, on average.
        cpu_hertz: The processor's clock rate, mean over its cores, at the end of the round.
        core_seconds: What a few calls of operators took one core (`bench.measure.pace`), before the round or after it,
            whichever was slower.
        team_seconds: What it took the threads of its cases to do next to nothing together, the same; None for one
            thread.
        gpu_throttle_reasons: NVML's bit mask of why the GPU's clocks are lowered.
        gpu_others: Other processes with work on the GPU.
        compile_cores: Cores that the run's own compile workers kept busy, which are no others.
        gpu_sm_hertz: The clock rate of the GPU's multiprocessors, at the round's beginning or end, whichever was
            higher; in older records, at its end.
        gpu_power_watts: What the GPU drew, the same.
        gpu_temperature_celsius: The GPU's, at the end of the round.
        gpu_held_back_fraction: Of the round, in which power, temperature or the like held the GPU's clocks back.
        gpu_not_known: Which facts of the GPU NVML did not tell, and why.
    """

    others_cores: NonNegativeFloat | None = None
    waited_cores: NonNegativeFloat | None = None
    stopped_cores: NonNegativeFloat | None = None
    cpu_hertz: NonNegativeFloat | None = None
    core_seconds: PositiveFloat | None = None
    team_seconds: PositiveFloat | None = None
    gpu_throttle_reasons: NonNegativeInt | None = None
    gpu_others: NonNegativeInt | None = None
    compile_cores: NonNegativeFloat | None = None
    gpu_sm_hertz: NonNegativeFloat | None = None
    gpu_power_watts: NonNegativeFloat | None = None
    gpu_temperature_celsius: float | None = None
    gpu_held_back_fraction: NonNegativeFloat | None = None
    gpu_not_known: Text | None = None


@dataclass(frozen=True)
class Round:
    """Every case of a group once, in one process.

    Attributes:
        number: Of the round in the run, by which samples name it.
        group: `steps`, `epochs` or `trainings`.
        process: The number of the process that it ran in.
        seconds: How long it took.
        disturbed: What disturbed it, as its surroundings tell; None if nothing did. Its samples are kept.
    """

    number: NonNegativeInt
    group: Text
    process: NonNegativeInt
    seconds: PositiveFloat
    beside: Beside
    disturbed: Text | None = None


@dataclass(frozen=True)
class Calibration:
    """A probe of the machine, timed before and after the cases.

    Attributes:
        unit: What `work_per_repetition` counts.
        samples_seconds: Host wall seconds per repetition before the first case; none where there is a `reason`.
        after_samples_seconds: The same after the last; None if the run was stopped before, or the work was another.
        reason: Why it could not be timed; None if it was.
    """

    name: Text
    device: Text
    unit: Unit
    work_per_repetition: PositiveFloat
    samples_seconds: list[PositiveFloat]
    after_samples_seconds: Annotated[list[PositiveFloat], MinLen(1)] | None = None
    reason: Text | None = None


@dataclass(frozen=True)
class Unmeasured:
    """A planned case without a number, and why: `impossible` here, `failed`, or `interrupted` before its turn."""

    id: Text
    case: CaseFields
    kind: Literal["impossible", "failed", "interrupted"]
    reason: Text


@dataclass(frozen=True)
class Machine:
    """The kind of machine, never its name in a network. The slug names its folder under `results/`."""

    slug: Slug
    label: Text


@dataclass(frozen=True)
class Commit:
    """The version of the code that was measured."""

    id: CommitId
    dirty: bool


@dataclass(frozen=True)
class Dataset:
    """Which images were used; records with different `sha256` are not compared.

    A program of the user's own has its own: the record then has that program's name in their place, its digest, and no
    images, so that two versions of one program can be compared.
    """

    name: Text
    label: Text
    sha256: Sha256
    train_images: NonNegativeInt
    test_images: NonNegativeInt
    fallback_reason: str | None = None


@dataclass(frozen=True)
class Program:
    """A program of the user's own.

    Attributes:
        file: Its path as the command named it.
        sha256: Of that file.
        commit: Of the repository that it lies in; None if there is none.
        lacks: Which of the optional attributes it does not have, so that nothing that needs them was measured.
    """

    file: Text
    sha256: Sha256
    commit: Commit | None
    lacks: list[Text]


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        rounds: In which the samples were taken.
        calibrations: Probes of the machine, timed before and after the cases.
        program: Whose steps these are; None where they are the reference's.
        environment: Groups (`hardware`, `software`, `settings`) of named plain values.
        partial: True if the run was interrupted; what was measured by then is complete and valid.
    """

    created_utc: Instant
    command: Text
    duration_seconds: NonNegativeFloat
    partial: bool
    commit: Commit | None
    machine: Machine
    environment: dict[str, dict[str, Fact]]
    dataset: Dataset
    measurements: list[Measurement]
    unmeasured: list[Unmeasured]
    rounds: list[Round] = field(default_factory=list)
    calibrations: list[Calibration] = field(default_factory=list)
    program: Program | None = None
    schema_version: int = SCHEMA_VERSION
    timing_rule_version: PositiveInt = TIMING_RULE_VERSION


def to_json(what: Record | Measurement) -> dict[str, Any]:
    """The record, or one measurement, as plain lists and dictionaries, ready for `json.dump`."""
    return dataclasses.asdict(what)
