"""Whole records of such measurements, and what is changed about them. The GPU's machine says so in its name."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.record.measurement import (
    Accuracy,
    Compilation,
    Energy,
    Flag,
    Measurement,
    StartUp,
)
from bench.record.model import Commit, Machine, Record
from tests.data.measurements import (
    COLD,
    FALLBACK,
    MNIST,
    NO_GPU,
    ROUNDS,
    calibrations,
    case,
    gap,
    measured,
)

# From nothing to the target: longer on a GPU, whose context and first kernels come with it.
START_UPS = {
    "cpu": [StartUp(1.9 + n / 10, 0.4, 0.001, 0.05, 0.36) for n in range(3)],
    "cuda": [StartUp(2.1 + n / 10, 0.4, 0.1, 0.4, 0.31, 0.2) for n in range(3)],
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
CPU_CALIBRATIONS = calibrations(
    "cpu", {"matmul_fp32": 120e9, "matmul_bf16": 90e9, "matmul_fp16": 60e9, "copy": 12e9, "copy_cached": 40e9}, 3.85e-6
)
GPU_CALIBRATIONS = calibrations(
    "cuda",
    {"matmul_fp32": 50e12, "matmul_tf32": 300e12, "matmul_bf16": 600e12, "copy": 2.4e12, "copy_cached": 250e9},
    3.9e-6,
)
OTHER_CPU_CALIBRATIONS = calibrations("cpu", {"matmul_fp32": 150e9, "copy": 16e9, "copy_cached": 50e9}, 3e-6)
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
    calibrations=CPU_CALIBRATIONS,
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
    calibrations=OTHER_CPU_CALIBRATIONS + GPU_CALIBRATIONS,
    unmeasured=[],
)


def only(record: Record, *ids: str, **changes: Any) -> Record:
    """The record with these cases alone, and other changes."""
    kept = [m for m in record.measurements if m.id in ids]
    gaps = [u for u in record.unmeasured if u.id in ids]
    return dataclasses.replace(record, measurements=kept, unmeasured=gaps, **changes)


def bare(record: Record) -> Record:
    """The record as one without counts, parts and calibrations: interrupted early, or of an older version."""
    nothing = {
        "counters": None,
        "phases": None,
        "breakdown": None,
        "energy": None,
        "compilation": None,
        "start_ups": [],
    }
    kept = [dataclasses.replace(m, **nothing) for m in record.measurements]
    return dataclasses.replace(record, measurements=kept, calibrations=[])


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
