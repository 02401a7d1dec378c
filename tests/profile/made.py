"""A small profile by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.profile.events import BETWEEN
from bench.profile.model import CompiledCase, Cost, Gap, Holder, Kernel, Memory, Operator, PhaseTime, Profile, to_json
from tests.data.measurements import case

LOADER = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"
PROFILE = Profile(
    id="epoch[cpu-b64-fp32-loader]",
    case=dataclasses.asdict(case("epoch", feed="loader")),
    source="epoch[cpu-b64-fp32-loader]",
    machine="Some CPU, 2 cores",
    dataset="MNIST",
    torch="2.14.1",
    steps=40,
    cost=Cost(8e-3, 10e-3, 0.1e-3, 0.95e-6, 2000, 9.9e-3, 7.9e-3),
    phases=[
        PhaseTime("fetch", 6e-3, 7.9e-3, 6.1e-3, 1800),
        PhaseTime("forward", 0.5e-3, 0.6e-3, 0.5e-3, 100),
        PhaseTime("optimizer", 1.5e-3, 1.6e-3, 1.45e-3, 100),
    ],
    operators=[
        Operator(LOADER, "fetch", "train.py:169 train_epoch", 1, 5e-3, 0, 0, 0),
        Operator("Optimizer.step#Adam.step", "optimizer", "train.py:141 optimizer_step", 1, 1e-3, 0, 0, 0),
        Operator("aten::addmm", "forward", "model.py:25 forward", 2, 0.2e-3, 0, 5_081_600, 15_360),
        Operator(BETWEEN, "forward", "", 1, 0.1e-3, 0, 0, 0),
        Operator("aten::sqrt", "optimizer", "train.py:141 optimizer_step", 4, 0.05e-3, 0, 0, 159_040),
    ],
    operator_stacks={f"fetch;{LOADER}": 5e-3, "forward;aten::linear;aten::addmm": 0.2e-3},
    kernels=[],
    gaps=[],
    python_stacks={"train_epoch;__next__;to_tensor": 70, "train_epoch;train_step": 30},
    memory=Memory(
        seconds=[0.0, 0.001, 0.002],
        category_bytes={"parameters": [159_040] * 3, "input": [0, 200_704, 0]},
        holders=[Holder("data.py:125 as_tensors", 188_163_656, 13)],
        process_peak_bytes=190_000_000,
        allocations=70,
        growth_bytes=0,
    ),
    compiled=None,
    trace_file="epoch-cpu-b64-fp32-loader.json.gz",
    trace_bytes=1_267_995,
)


# What the traced process answers, of it.
_TRACED = ("cost", "steps", "phases", "operators", "operator_stacks", "kernels", "gaps")
TRACED = {name: value for name, value in to_json(PROFILE).items() if name in _TRACED}


def changed(**fields: Any) -> Profile:
    return dataclasses.replace(PROFILE, **fields)


COMPILED = changed(
    compiled=CompiledCase(
        2, ["model.py:25 forward: call to print"], ["size mismatch"], ["cpp_fused_relu_0"], {"Dynamo": 6.0}
    )
)
ON_GPU = changed(
    kernels=[Kernel("sgemm", 3, 20e-6)], gaps=[Gap("fetch: DataLoader", 6e-3, 1)], source="epoch[cuda-b64-fp32-loader]"
)
