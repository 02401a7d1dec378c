import dataclasses
import re

import pytest

from bench.axes import case as case_module
from bench.axes import compilers
from bench.axes.case import Case, case_id, command_words, parse_id, why_impossible
from bench.axes.devices import DEVICES
from bench.axes.matrix import PLANS, cases, devices_here, option_names
from tests.measure.simulated import SimulatedTime

PLAIN = Case(threads=0)


def changed(**fields: object) -> Case:
    return dataclasses.replace(PLAIN, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "id"),
    [
        ({}, "step[cpu-b64-fp32]"),
        ({"device": "cuda", "precision": "bf16", "compiler": "default"}, "step[cuda-b64-bf16-compile]"),
        ({"compiler": "max-autotune", "optimizer": "fused"}, "step[cpu-b64-fp32-max-autotune-fused]"),
        ({"device": "cuda", "compiler": "graph"}, "step[cuda-b64-fp32-graph]"),
        ({"workload": "epoch", "feed": "loader", "num_workers": 2, "pin_memory": True},
         "epoch[cpu-b64-fp32-loader-w2-pinned]"),
        ({"threads": 1}, "step[cpu-b64-fp32-t1]"),
        ({"batch_size": 100, "hidden_size": 200}, "step[cpu-b100-fp32-h200]"),
        ({"workload": "inference"}, "inference[cpu-b64-fp32]"),
    ],
)  # fmt: skip
def test_ids_name_what_differs_from_the_reference(fields, id):
    assert case_id(changed(**fields)) == id
    assert parse_id(id) == changed(**fields)


def test_the_command_spells_out_every_axis():
    case = changed(workload="epoch", feed="loader", num_workers=2, threads=1)
    assert " ".join(command_words(case, dataset="KMNIST")) == (
        "--workload epoch --device cpu --batch 64 --precision fp32 --compile off --optimizer adam "
        "--feed loader --num-workers 2 --threads 1 --dataset KMNIST"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"precision": "tf32"}, "TF32 is a format of NVIDIA's tensor cores; the device is cpu"),
        ({"compiler": "reduce-overhead"}, "CUDA graphs"),
        ({"compiler": "graph"}, "a CUDA graph needs CUDA; the device is cpu"),
        ({"feed": "device"}, "see resident"),
        ({"batch_size": 16384}, "the dataset has only 4,000 training images"),
        ({"num_workers": 2}, "workers and pinned memory belong to the loader"),
        ({"feed": "loader"}, "the loader belongs to whole epochs"),
        ({"workload": "epoch", "feed": "loader", "pin_memory": True}, "pinned memory speeds copies to a CUDA GPU"),
        ({"workload": "optimizer", "precision": "fp16"}, "gradient scaling"),
        ({"workload": "optimizer", "compiler": "default"}, "would run eagerly all the same"),
    ],
)
def test_impossible_combinations_have_a_reason(fields, reason):
    assert reason in why_impossible(changed(**fields), train_images=4000)


def test_worker_processes_need_a_temporary_folder_with_a_short_name(monkeypatch):
    case = changed(workload="epoch", feed="loader", num_workers=2)
    monkeypatch.setattr(case_module.tempfile, "tempdir", "/" + "x" * 95)
    assert "whose name is too long" in why_impossible(case, train_images=60_000)
    assert why_impossible(dataclasses.replace(case, num_workers=0), train_images=60_000) is None


def test_the_reference_case_is_possible():
    assert why_impossible(PLAIN, train_images=60_000) is None


@pytest.fixture
def fake_cuda(monkeypatch):
    """A machine with a GPU of compute capability 9.0, as far as choosing goes."""
    import torch
    from torch.utils import _triton

    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(_triton, "has_triton", lambda: True)
    monkeypatch.setattr(compilers, "_cc_why_not", lambda: None)


@pytest.mark.usefixtures("fake_cuda")
@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "tf32"},
        {"precision": "fp16"},
        {"compiler": "reduce-overhead"},
        {"compiler": "max-autotune", "precision": "bf16"},
        {"compiler": "graph", "precision": "bf16", "optimizer": "fused"},
        {"compiler": "graph", "workload": "optimizer"},
        {"feed": "device"},
        {"workload": "epoch", "feed": "loader", "num_workers": 2, "pin_memory": True},
    ],
)
def test_on_a_gpu_the_gpu_combinations_are_possible(fields):
    assert why_impossible(changed(device="cuda", **fields), train_images=60_000) is None


@pytest.mark.usefixtures("fake_cuda")
def test_old_gpus_and_missing_triton_are_named(monkeypatch):
    import torch
    from torch.utils import _triton

    compiled = changed(device="cuda", compiler="default")
    monkeypatch.setattr(_triton, "has_triton", lambda: False)
    assert "Triton" in why_impossible(compiled, 60_000)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert "compute capability 7.0, this GPU has 6.1" in why_impossible(compiled, 60_000)
    assert "compute capability 8.0" in why_impossible(changed(device="cuda", precision="tf32"), 60_000)


def test_a_missing_device_is_the_first_reason(monkeypatch):
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(why_missing=lambda: "no CUDA GPU here"))
    assert why_impossible(changed(device="cuda", precision="tf32"), 60_000) == "no CUDA GPU here"


@pytest.mark.usefixtures("fake_cuda")
def test_a_captured_step_lets_no_host_look_at_the_gradients():
    reason = why_impossible(changed(device="cuda", compiler="graph", precision="fp16"), 60_000)
    assert (
        reason == "gradient scaling lets the host look at the gradients in every step, which a CUDA graph cannot hold"
    )


@pytest.mark.usefixtures("fake_cuda")
def test_a_missing_c_compiler_is_a_reason_on_a_gpu_and_none_for_what_compiles_nothing(monkeypatch):
    monkeypatch.setattr(compilers, "_cc_why_not", lambda: "Triton needs a C compiler")
    for compiler in ("default", "reduce-overhead", "max-autotune"):
        assert why_impossible(changed(device="cuda", compiler=compiler), 60_000) == "Triton needs a C compiler"
    assert why_impossible(changed(device="cuda", compiler="graph"), 60_000) is None


def test_no_compiler_is_named(monkeypatch):
    monkeypatch.setattr(compilers.shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "my-g++")
    assert "there is no my-g++" in why_impossible(changed(compiler="default"), 60_000)


@pytest.mark.parametrize("plan", list(PLANS))
def test_every_planned_id_is_read_back(plan):
    options = {**dict.fromkeys(option_names()), "num_workers": 2, "pin_memory": True, "device": ["cpu", "cuda"]}
    for case in cases(options, plan, devices_here()):
        assert parse_id(case_id(case)) == case


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walk[cpu-b64]", "is no case: like step"),
        ("step[cpu-b64", "is no case: like step"),
        ("step[cpu-b0-fp32]", "'b0' is no device"),
        ("step[cpu-b64-b32]", "it names its batch size twice"),
        ("stpe[cpu-b64]", "did you mean step?"),
        ("step[cpu-b64-fuesd]", "did you mean fused?"),
        ("step[cpu-fp32]", "it names no batch size"),
        ("step[cpu-b64-x]", "'x' is no device, batch size, precision"),
    ],
)
def test_an_id_that_is_none_says_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_id(text)
