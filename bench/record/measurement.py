"""A measurement: a case, its raw samples, and what else was seen of it. Statistics are derived, and not here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from bench.record.before import Earlier, EarlierLadder
from bench.record.bounds import Ge, MinLen
from bench.record.kinds import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Text


@dataclass(frozen=True, kw_only=True)
class CaseFields:
    """What is run: one choice of every axis of `bench.axes.axis`; the reference's where none is given.

    Attributes:
        batch_size: Images per step.
        hidden_size: Units of the hidden layer.
        num_workers: Worker processes of the loader feed.
        threads: Intra-operation CPU threads torch computed with.
    """

    workload: Text = "step"
    device: Text = "cpu"
    batch_size: PositiveInt = 64
    precision: Text = "fp32"
    compiler: Text = "off"
    optimizer: Text = "adam"
    feed: Text = "resident"
    hidden_size: PositiveInt = 50
    num_workers: NonNegativeInt = 0
    pin_memory: bool = False
    threads: PositiveInt = 1


@dataclass(frozen=True)
class Flag:
    """A named reason why a number is not to be trusted. Flagged cells are shown as such and never judged."""

    name: Text
    reason: Text


@dataclass(frozen=True)
class Accuracy:
    """What training reached, a list entry per seed.

    Attributes:
        seconds_to_target: Training time until the test accuracy first reached `target_fraction`, evaluation
            excluded; None where it was not reached within `max_epochs`.
    """

    seeds: Annotated[list[int], MinLen(1)]
    epochs: PositiveInt
    test_accuracy_fraction: Annotated[list[Fraction], MinLen(1)]
    train_accuracy_fraction: Annotated[list[Fraction], MinLen(1)]
    target_fraction: Fraction
    max_epochs: PositiveInt
    seconds_to_target: Annotated[list[PositiveFloat | None], MinLen(1)]


@dataclass(frozen=True)
class Counters:
    """Exact counts of one repetition, the same on every repeat.

    Attributes:
        aten_calls: Number of calls by operator and result type, such as `aten::addmm float32`. Of compiled cases the
            outermost calls of a profile, without types: not to be set beside those of eager ones.
        flops: Floating-point operations of matrix products, 2 a multiply-add.
        parameter_bytes, gradient_bytes, optimizer_state_bytes: None of a program of the user's own that does not show
            its model or its optimizer.
        saved_tensor_bytes: Kept by the forward pass for the backward pass, parameters not counted.
        allocations: New tensor storages, views not counted; `peak_allocated_bytes` is the most of them alive at once.
        host_synchronisations: Times the host had to wait for a device's result.
        host_device_copies: Copies between host and device, of `host_device_copied_bytes` together.
        growth_bytes: What is alive after 100 more repetitions and was not before; None where that took too long.
        kernels_launched: Kernels that ran on a CUDA device; None elsewhere, or if the profiler has lost some or sees
            none. One replayed CUDA graph runs many.
        cuda_graph_launches: CUDA graphs that were replayed; None elsewhere, or if the profiler sees none.
        kernels_reason: Why of a CUDA device neither is known.
    """

    aten_calls: dict[str, PositiveInt]
    flops: NonNegativeInt
    parameter_bytes: NonNegativeInt | None
    gradient_bytes: NonNegativeInt | None
    optimizer_state_bytes: NonNegativeInt | None
    saved_tensor_bytes: NonNegativeInt
    allocations: NonNegativeInt
    peak_allocated_bytes: NonNegativeInt
    host_synchronisations: NonNegativeInt
    host_device_copies: NonNegativeInt
    host_device_copied_bytes: NonNegativeInt
    growth_bytes: int | None
    kernels_launched: NonNegativeInt | None = None
    cuda_graph_launches: NonNegativeInt | None = None
    kernels_reason: Text | None = None


@dataclass(frozen=True)
class Compilation:
    """What torch.compile did to a case.

    Attributes:
        cold_seconds: What it adds to the first step of a fresh process without caches.
        graphs: Graphs that it made of the case's model.
        graph_break_reasons: Why it had to stop a graph and go on in Python, an entry a break.
        recompile_reasons: Why it compiled a function again, an entry a recompilation; a smaller last batch is one.
        cuda_graph_skip_reasons: Why it did not capture CUDA graphs, an entry a refusal.
    """

    cold_seconds: NonNegativeFloat
    graphs: NonNegativeInt
    graph_break_reasons: list[str]
    recompile_reasons: list[str]
    cuda_graph_skip_reasons: list[str]


@dataclass(frozen=True)
class Energy:
    """The energy of one repetition, by the hardware's own counter; either `joules` or `reason` is there.

    Attributes:
        joules: Joules per repetition, mean over the window.
        window_seconds: How long the counter ran; windows under 2 s are not reported.
        meter: Which counter.
        reason: Why there is no number.
        host_joules: What the processor of a GPU's host took meanwhile, per repetition; None elsewhere, or if unknown.
        host_reason: Why that is not known.
    """

    joules: PositiveFloat | None
    window_seconds: Annotated[float, Ge(2)] | None
    meter: str | None
    reason: str | None
    host_joules: float | None = None
    host_reason: str | None = None


@dataclass(frozen=True)
class DeviceUse:
    """What a repetition takes of a CUDA device.

    Attributes:
        peak_allocated_bytes: The most that tensors of the process held, images and models included.
        peak_reserved_bytes: The most that torch's allocator held for them.
        utilisation_fraction: Of NVML's sampling period, in which a kernel ran; either that or a reason is there.
        utilisation_reason: Why it is not known.
    """

    peak_allocated_bytes: NonNegativeInt
    peak_reserved_bytes: NonNegativeInt
    utilisation_fraction: Fraction | None
    utilisation_reason: str | None


@dataclass(frozen=True)
class Phases:
    """The parts of one repetition, in host seconds; they add up to `sum_seconds`.

    Attributes:
        unmarked_seconds: The repetition's time in blocks without marks, which alternated with the marked ones.
        device_busy_seconds: Time in which the device computed or copied; None where that cannot be told.
    """

    host_seconds: dict[str, float]
    sum_seconds: PositiveFloat
    unmarked_seconds: PositiveFloat
    device_busy_seconds: NonNegativeFloat | None

    @property
    def closure_fraction(self) -> float:
        """How far the parts' sum is from the unmarked repetition, as a fraction of it."""
        return self.sum_seconds / self.unmarked_seconds - 1


@dataclass(frozen=True)
class Breakdown:
    """What a step takes, and what it takes with nothing to do; of an epoch or a training, one of its steps.

    Seen outside of the timed rounds, in blocks of both that took turns (`bench.measure.breakdown`).

    Attributes:
        step_seconds: Of the fastest blocks.
        empty_step_seconds: The same operators on one image and two hidden units: of the fastest blocks; on a device, by
            the share of a block of theirs in the step's beside it.
        empty_parts_seconds: The parts of that, as `Phases.host_seconds`; empty for a part alone.
        work_seconds: By kind, under a profiler that makes each call dearer, the time in operators (`product`, `other`)
            and outside of all (`rest`); on a device, in its kernels (`product`, `other`) and copies (`copy`), and what
            the host spends in the calls that copy (`copy_call`); empty where that cannot be told.
        empty_work_seconds: The same of the empty step.
        page_faults: Of a repetition, in the mean; None where the system does not count them.
        page_fault_seconds: What they take, by what one of fresh memory takes here.
        core_seconds: What a few calls of operators took one core meanwhile, as in a round's `Beside`.
    """

    step_seconds: PositiveFloat
    empty_step_seconds: PositiveFloat
    empty_parts_seconds: dict[str, float]
    work_seconds: dict[str, NonNegativeFloat]
    empty_work_seconds: dict[str, NonNegativeFloat]
    page_faults: NonNegativeFloat | None = None
    page_fault_seconds: NonNegativeFloat | None = None
    core_seconds: PositiveFloat | None = None


@dataclass(frozen=True)
class StartUp:
    """One process from nothing to the target's accuracy, in the order in which it is paid.

    Attributes:
        import_seconds: From asking for the process until torch and the program are there.
        images_seconds: To find, check and decode the images.
        device_seconds: The first operation on the device: on a GPU, the first kernel.
        first_step_seconds: The model and its first step, compiling included.
        training_seconds: From then on to the target, evaluations excluded; None if it was not reached.
        context_seconds: Of a CUDA device, before its first operation: its driver and its context. None elsewhere, and
            in older records, which have it in none of their parts.
    """

    import_seconds: NonNegativeFloat
    images_seconds: NonNegativeFloat
    device_seconds: NonNegativeFloat
    first_step_seconds: NonNegativeFloat
    training_seconds: NonNegativeFloat | None
    context_seconds: NonNegativeFloat | None = None


@dataclass(frozen=True)
class Measurement:
    """A case and its raw samples.

    Attributes:
        id: Readable and unique in a record, such as `step[cuda-b64-bf16]`.
        command: The shell command that measures this number again.
        samples_seconds: Host wall time of every turn's block, in seconds per repetition (a step, an epoch, a training).
        rounds: The number of the round that each sample is of.
        device_samples_seconds: The same blocks timed by the device's own events; None where it has none.
        block_repetitions: Repetitions in a timed block.
        images_per_repetition: Images trained on in one repetition, for throughput; None where it makes no sense.
        steps_per_epoch: Steps in one epoch at this batch size, with `last_batch_size` images in the last of them.
        timed_steps: Steps of an epoch that were timed, its first ones, if its times are scaled from these; else None.
        warmup_seconds: Median over the processes of the time from building the case to its being warm.
        first_call_seconds: Median over the processes of the first repetition, of an epoch its first batches and the
            last one's size: lazy initialisation and, from a warm cache, compilation happen here.
        earlier: What other runs had seen by then; None if this one is the first.
        earlier_ladder: Of the tutorial's epoch; None for all others, and where no ladder was climbed.
        recompilations: Graphs that torch.compile made within the timed blocks.
        compilation: What torch.compile did; None for eager cases.
        counters: Exact counts of one repetition, or of one step of an epoch; None where not counted.
        phases: The repetition's parts; None for a part alone.
        breakdown: A step beside the same with nothing to do; None for what is compiled on a GPU.
        energy: Joules per repetition, or why they are not known; None where nobody asked.
        start_ups: Of a training, in processes of their own; empty where nobody asked.
        device_use: The device's memory and utilisation; None elsewhere than on CUDA.
    """

    id: Text
    case: CaseFields
    command: Text
    samples_seconds: Annotated[list[PositiveFloat], MinLen(1)]
    rounds: Annotated[list[NonNegativeInt], MinLen(1)]
    device_samples_seconds: Annotated[list[NonNegativeFloat], MinLen(1)] | None
    block_repetitions: PositiveInt
    images_per_repetition: PositiveInt | None
    steps_per_epoch: PositiveInt | None
    last_batch_size: PositiveInt | None
    warmup_seconds: NonNegativeFloat
    first_call_seconds: NonNegativeFloat
    recompilations: NonNegativeInt = 0
    timed_steps: PositiveInt | None = None
    earlier: Earlier | None = None
    earlier_ladder: EarlierLadder | None = None
    compilation: Compilation | None = None
    counters: Counters | None = None
    phases: Phases | None = None
    breakdown: Breakdown | None = None
    energy: Energy | None = None
    device_use: DeviceUse | None = None
    accuracy: Accuracy | None = None
    start_ups: list[StartUp] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
