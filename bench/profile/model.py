"""What a profile says; plain data, in SI units, a step at a time. `None` means not measured, never 0."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

PROFILE_VERSION = 1
AGREEMENT_FRACTION = 0.10  # as far as corrected times may be from the unprofiled ones before the page says so
LARGE_SHARE = 0.05  # of a step, for a part to be named if it does not agree


@dataclass(frozen=True)
class Operator:
    """The calls of one operator in one part of the step, from one line of the program.

    Attributes:
        name: As the profiler names it, such as `aten::addmm`; of a part itself, what passes between its operators.
        phase: The part of the step.
        line: The line of `fcnn` that caused it, such as `train.py:141 optimizer_step`; "" where there is none.
        calls: Calls a step.
        self_seconds: Host time per step, calls of other operators taken out; the profiler's own cost taken off.
        device_seconds: Time per step that the device worked for it; 0 on the CPU, where the host is the device.
        flops: Floating-point operations a step, of matrix products and convolutions.
        allocated_bytes: Bytes that it allocated a step and did not free itself.
    """

    name: str
    phase: str
    line: str
    calls: float
    self_seconds: float
    device_seconds: float
    flops: float
    allocated_bytes: float


@dataclass(frozen=True)
class PhaseTime:
    """One part of the step: unprofiled, as traced, and with the profiler's cost taken off; `events` are operators'."""

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
        profiled_seconds: Median of other blocks with it.
        ranges_seconds: Of that, the named ranges' cost, from steps with nothing in them.
        event_seconds: The mean cost of an operator's event: what is left, over the events; of none more than it took.
        events: Operators' events.
        traced_seconds: Mean of the traced steps.
        corrected_seconds: The sum of the traced operators and of what lies between them, without these costs.
    """

    unprofiled_seconds: float
    profiled_seconds: float
    ranges_seconds: float
    event_seconds: float
    events: float
    traced_seconds: float
    corrected_seconds: float

    @property
    def agreement_fraction(self) -> float:
        """How far the corrected total is from the unprofiled step."""
        return self.corrected_seconds / self.unprofiled_seconds - 1

    @property
    def agrees(self) -> bool:
        """Whether the total may be read as that of the unprofiled program."""
        return abs(self.agreement_fraction) <= AGREEMENT_FRACTION


@dataclass(frozen=True)
class Kernel:
    """A kernel or copy on the device: calls and seconds per step."""

    name: str
    calls: float
    seconds: float


@dataclass(frozen=True)
class Gap:
    """Time per step in which the device had nothing to do, and what the host was doing then."""

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
        process_peak_bytes: All of that.
        reserved_bytes: Addresses that were reserved beside it, which are no memory.
        missing: Why a part of this is not there, by name.
    """

    seconds: list[float] = field(default_factory=list)
    category_bytes: dict[str, list[int]] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    process_peak_bytes: int | None = None
    reserved_bytes: int = 0
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
class CompiledCase:
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
        python_torn: Whether the program ran on while it was sampled: a few stacks may be of two moments.
        operator_stacks: Self seconds per step by stack of operators, the part of the step first.
        missing: Why a section is not there, by name.
        interrupted: Whether it was ended before all sides were looked at.
        disturbed: What went on beside the timed parts, whose times are not the program's own then; None if nothing did.
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
    compiled: CompiledCase | None
    trace_file: str
    trace_bytes: int
    missing: dict[str, str] = field(default_factory=dict)
    python_torn: bool = False
    interrupted: bool = False
    disturbed: str | None = None
    version: int = PROFILE_VERSION

    @property
    def parts_seconds(self) -> float:
        """All parts together: they were timed side by side, and not with the whole step."""
        return sum(phase.unprofiled_seconds for phase in self.phases)

    @property
    def whole_seconds(self) -> float:
        """What an operator's time is a share of: all of them together; where a device works, the step.

        The trace is of another moment than the unprofiled steps, in which the machine may be quicker or slower.
        """
        return self.cost.unprofiled_seconds if self.kernels else self.cost.corrected_seconds

    @property
    def disagreeing(self) -> list[PhaseTime]:
        """Parts that take a good share of the step and whose traced, corrected time is not their unprofiled one."""
        least = LARGE_SHARE * self.cost.unprofiled_seconds
        return [
            phase
            for phase in self.phases
            if phase.unprofiled_seconds >= least
            and abs(phase.corrected_seconds / phase.unprofiled_seconds - 1) > AGREEMENT_FRACTION
        ]


def to_json(profile: Profile) -> dict[str, Any]:
    """Plain lists and dictionaries."""
    return dataclasses.asdict(profile)
