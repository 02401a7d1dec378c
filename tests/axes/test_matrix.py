import argparse
from typing import Any

import pytest

from bench.axes import matrix
from bench.axes.case import case_id
from bench.axes.devices import DEVICES
from bench.axes.workloads import WORKLOADS
from tests.measure.simulated import SimulatedTime


def options(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    matrix.add_options(parser.add_argument)
    return vars(parser.parse_args(words))


def ids(*words: str, plan: str = "suite") -> list[str]:
    return [case_id(case) for case in matrix.cases(options(*words), plan, matrix.devices_here())]


def test_values_multiply():
    assert ids("--device", "cpu", "--batch", "1", "64", "--precision", "fp32", "bf16") == [
        "step[cpu-b1-fp32]", "step[cpu-b1-bf16]", "step[cpu-b64-fp32]", "step[cpu-b64-bf16]",
    ]  # fmt: skip


def test_values_may_stand_between_commas():
    assert ids("--device", "cpu", "--batch", "1,3", "64", "--workload", "step,inference") == [
        "step[cpu-b1-fp32]", "step[cpu-b3-fp32]", "step[cpu-b64-fp32]",
        "inference[cpu-b1-fp32]", "inference[cpu-b3-fp32]", "inference[cpu-b64-fp32]",
    ]  # fmt: skip


def test_the_loaders_options_reach_only_the_loader():
    words = ("--device", "cpu", "--workload", "epoch", "--feed", "loader", "resident", "--num-workers", "2", "4")
    assert ids(*words) == ["epoch[cpu-b64-fp32-loader-w2]", "epoch[cpu-b64-fp32-loader-w4]", "epoch[cpu-b64-fp32]"]


@pytest.mark.parametrize("plan", list(matrix.PLANS))
def test_plans_hold_every_workload_once_and_the_missing_gpu(plan):
    planned = ids(plan=plan)
    assert len(planned) == len(set(planned))
    assert {id.partition("[")[0] for id in planned} == {row.name for row in WORKLOADS.values() if not row.own}
    assert "step[cuda-b64-fp32]" in planned  # where there is no GPU the report says so


def test_choosing_only_a_device_keeps_the_plan():
    assert ids("--device", "cpu", plan="quick") == [id for id in ids(plan="quick") if "[cpu-" in id]


@pytest.mark.parametrize("plan", list(matrix.PLANS))
def test_a_captured_step_is_planned_for_a_gpu_alone(plan):
    assert "step[cuda-b64-fp32-graph]" in ids(plan=plan)
    assert not [id for id in ids("--device", "cpu", plan=plan) if "graph" in id]


def test_an_accelerator_that_is_here_joins_by_itself(monkeypatch):
    monkeypatch.setitem(DEVICES, "xpu", SimulatedTime().device(name="xpu"))
    assert "step[xpu-b64-fp32]" in ids()


def test_a_misspelt_choice_has_the_nearest_right_one(capsys):
    with pytest.raises(SystemExit):
        options("--precision", "fp32", "bf61")
    assert "'bf61' is none of fp32, tf32, bf16, fp16: did you mean bf16?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--batch", "0"),
        ("--batch", "1,,2"),
        ("--batch", "many"),
        ("--precision", "fp8"),
        ("--budget", "0"),
        ("--budget", "nan"),
        ("--seeds", "-1"),
        ("--devise", "cpu"),
        ("--results", ""),
        ("--data", ""),
    ],
)
def test_a_misspelt_choice_is_refused(words, capsys):
    with pytest.raises(SystemExit) as exit:
        options(*words)
    assert exit.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_a_home_folder_is_one_in_every_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    given = options("--results=~/res", "--data=~/images")
    assert (str(given["results"]), str(given["data"])) == ("/home/somebody/res", "/home/somebody/images")


def test_what_an_accelerator_alone_can_do_is_planned_for_none_but_accelerators():
    for plan in matrix.PLANS:
        swept = [id for id in ids(plan=plan) if id.startswith("step[") and id.endswith("-device]")]
        assert "step[cuda-b16384-fp32-device]" in swept
        assert all("[cuda-" in id for id in swept)
        assert not [id for id in ids("--device", "cpu", plan=plan) if "[cpu-" not in id]


def test_a_sweep_of_ones_own_has_an_accelerators_images_in_its_memory_too():
    words = ("--device", "cpu", "cuda", "--workload", "inference", "step", "--batch", "1", "64", "4096")
    swept = ids(*words)
    both = ["step[cuda-b1-fp32-device]", "step[cuda-b64-fp32-device]", "step[cuda-b4096-fp32-device]"]
    assert [id for id in swept if "device" in id] == both
    assert [id for id in swept if "device" not in id] == ids(*words, "--feed", "resident")


@pytest.mark.parametrize(
    "words",
    [("--batch", "1", "64", "64"), ("--batch", "1", "64", "4096", "--workload", "inference", "epoch"),
     ("--batch", "1", "64", "4096", "--device", "cpu")],
)  # fmt: skip
def test_what_is_no_sweep_of_an_accelerators_steps_has_the_usual_feed_alone(words):
    assert not [id for id in ids(*words) if "device" in id]


def test_a_sweep_of_a_program_of_ones_own_has_the_feed_that_it_has():
    chosen = {**options("--batch", "1", "64", "4096"), "workload": ["program"]}
    assert {case.feed for case in matrix.cases(chosen, "suite", ["cuda"])} == {"resident"}
