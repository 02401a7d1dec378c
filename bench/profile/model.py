"""What a profile says; plain data, in SI units, a step at a time. `None` means not measured, never 0."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

PROFILE_VERSION = 1
AGREEMENT_FRACTION = 0.10  # as far as corrected totals may be from the unprofiled step before the page says so


@dataclass(frozen=True)
class Operator:
    """The calls of one operator in one part of the step, from one line of the program.

    Attributes:
        name: As the profiler names it, such as `aten::addmm`; of a part itself, what passes between its operators.
        phase: The part of the step.
        line: The line of `fcnn` that caused it, such as `train.py:141 optimizer_step`; "" where there is none.
        calls: Calls a step.
        self_seconds: Host time a step, calls of other operators taken out; the profiler's own cost taken off.
        flops: Floating-point operations a step, where the profiler knows a formula.
        allocated_bytes: Bytes that it allocated a step.
    """

    name: str
    phase: str
    line: str
    calls: float
    self_seconds: float
    flops: float
    allocated_bytes: float


@dataclass(frozen=True)
class PhaseTime:
    """One part of the step: unprofiled, as traced, and with the profiler's cost taken off."""

    phase: str
    unprofiled_seconds: float
    traced_seconds: float
    corrected_seconds: float
    events: float


@dataclass(frozen=True)
class Cost:
    """What profiling costs, a step.

    Attributes:
        unprofiled_seconds: Median of blocks without a profiler.
        profiled_seconds: Median of other blocks with it, which tell `event_seconds`, the cost of an event.
        traced_seconds: Mean of the traced steps, of `events` events each.
    """

    unprofiled_seconds: float
    profiled_seconds: float
    event_seconds: float
    traced_seconds: float
    events: float

    @property
    def corrected_seconds(self) -> float:
        """The traced step without the cost of its events."""
        return self.traced_seconds - self.events * self.event_seconds

    @property
    def agreement_fraction(self) -> float:
        """How far the corrected step is from the unprofiled one."""
        return self.corrected_seconds / self.unprofiled_seconds - 1

    @property
    def agrees(self) -> bool:
        """Whether the numbers may be read as those of the unprofiled program."""
        return abs(self.agreement_fraction) <= AGREEMENT_FRACTION


@dataclass(frozen=True)
class Kernel:
    """A kernel or copy on the device: calls and seconds a step."""

    name: str
    calls: float
    seconds: float


@dataclass(frozen=True)
class Gap:
    """Time a step in which the device had nothing to do, and what the host was doing then."""

    host: str
    seconds: float
    count: float


@dataclass(frozen=True)
class Holder:
    """A place in the program whose allocations were alive at the peak."""

    where: str
    bytes: int
    allocations: int


@dataclass(frozen=True)
class Memory:
    """Memory of a step.

    Attributes:
        seconds: Times from the first event, for the timeline.
        category_bytes: Bytes alive at those times, by category.
        holders: What was alive at the peak of the whole process from its images on, the largest first.
        missing: Why a part of this is not there, by name.
    """

    seconds: list[float] = field(default_factory=list)
    category_bytes: dict[str, list[int]] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    process_peak_bytes: int | None = None
    allocations: int | None = None
    growth_bytes: int | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def peak(self) -> tuple[int, dict[str, int]] | None:
        """The most bytes alive at once in the step, and what they were."""
        if not self.seconds:
            return None
        totals = [sum(values) for values in zip(*self.category_bytes.values(), strict=True)]
        at = max(range(len(totals)), key=totals.__getitem__)
        return totals[at], {name: values[at] for name, values in self.category_bytes.items()}


@dataclass(frozen=True)
class Compiled:
    """What torch.compile made of the case, from cold.

    Attributes:
        breaks: Where and why a graph ended, with the user's line.
        kernels: Names of the generated kernels, in the order of the generated code.
        stage_seconds: Seconds by stage of the compiler; a stage contains those that it calls.
    """

    graphs: int
    breaks: list[str]
    recompiles: list[str]
    kernels: list[str]
    stage_seconds: dict[str, float]


@dataclass(frozen=True)
class Profile:
    """One case, taken apart.

    Attributes:
        steps: Traced steps; a trace that would be too large has fewer.
        python_stacks: Samples by stack of the Python program, frames joined by `;`.
        operator_stacks: Self seconds a step by stack of operators, the part of the step first.
        missing: Why a section is not there, by name.
    """

    id: str
    case: dict[str, Any]
    source: str
    machine: str
    dataset: str
    torch: str
    steps: int
    cost: Cost
    phases: list[PhaseTime]
    operators: list[Operator]
    operator_stacks: dict[str, float]
    kernels: list[Kernel]
    gaps: list[Gap]
    python_stacks: dict[str, int]
    memory: Memory
    compiled: Compiled | None
    trace_file: str
    trace_bytes: int
    missing: dict[str, str] = field(default_factory=dict)
    version: int = PROFILE_VERSION


def to_json(profile: Profile) -> dict[str, Any]:
    """Plain lists and dictionaries."""
    return dataclasses.asdict(profile)
