import pytest

from bench.errors import BenchError
from bench.gate.counts import differences, read_accepted

CASE = "step[cpu-b64-fp32-t1]"
BEFORE = {"aten_calls": {"aten::addmm float32": 2, "aten::relu float32": 1}, "flops": 10, "growth_bytes": 0}


def test_what_one_side_does_not_know_is_no_difference():
    shows, hides = ({"aten_calls": {}, "parameter_bytes": known} for known in (100, None))
    assert differences("it", hides, shows) == differences("it", shows, hides) == []


def changed(calls: dict[str, int] | None = None, **counts: int) -> dict[str, object]:
    return {**BEFORE, "aten_calls": {**BEFORE["aten_calls"], **(calls or {})}, **counts}


def sentences(candidate, case=CASE):
    return [difference.sentence for difference in differences(case, BEFORE, candidate)]


def test_the_same_counts_are_no_difference():
    assert differences(CASE, BEFORE, changed()) == []


def test_an_item_in_the_step_is_named_with_what_it_does():
    assert sentences(changed({"aten::_local_scalar_dense float32": 1})) == [
        "aten::_local_scalar_dense float32 0 -> 1 per step: `.item()`, `float()` or `bool()` of a tensor in the step: "
        "on a GPU the host waits"
    ]


def test_calls_that_vanish_are_differences_as_well():
    candidate = {**BEFORE, "aten_calls": {"aten::addmm float32": 2}}
    assert sentences(candidate) == ["aten::relu float32 1 -> 0 per step"]


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (changed({"aten::clone float32": 1}), "aten::clone float32 0 -> 1 per step: a copy of a tensor"),
        (changed({"aten::_to_copy float64": 1}), "aten::_to_copy float64 0 -> 1 per step: an upcast to float64"),
        (changed(growth_bytes=4096), "growth_bytes 0 -> 4,096 per step: memory that every step leaves behind"),
    ],
)
def test_planted_faults_are_named(candidate, said):
    (sentence,) = sentences(candidate)
    assert sentence.startswith(said)


def test_an_evaluation_is_spoken_of_as_one():
    (sentence,) = sentences(changed(saved_tensor_bytes=9), case="evaluation[cpu-fp32-t1]")
    assert sentence.startswith("saved_tensor_bytes 0 -> 9 per evaluation: what forward keeps for backward")
    assert sentence.endswith("a missing `no_grad`")


ACCEPTED = f"""
[[accepted]]
case = "{CASE}"
count = "flops"
reference = 10
candidate = 12
reason = "a wider layer"
"""


def test_a_change_is_accepted_only_as_it_stands_in_the_file(tmp_path):
    (tmp_path / "accepted.toml").write_text(ACCEPTED)
    accepted = read_accepted(tmp_path / "accepted.toml")
    (exactly,) = differences(CASE, BEFORE, changed(flops=12), accepted)
    (more,) = differences(CASE, BEFORE, changed(flops=13), accepted)
    (elsewhere,) = differences("step[cpu-b1-fp32-t1]", BEFORE, changed(flops=12), accepted)
    assert exactly.accepted == "a wider layer"
    assert more.accepted is None
    assert elsewhere.accepted is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ACCEPTED.replace('reason = "a wider layer"', ""), "accepted change 1 lacks its reason"),
        (ACCEPTED.replace("a wider layer", ""), "accepted change 1 lacks its reason"),
        ("[[accepted", "accepted.toml"),
    ],
)
def test_a_change_without_a_reason_is_refused(tmp_path, text, message):
    (tmp_path / "accepted.toml").write_text(text)
    with pytest.raises(BenchError, match=message):
        read_accepted(tmp_path / "accepted.toml")


def test_no_file_accepts_nothing(tmp_path):
    assert read_accepted(tmp_path / "accepted.toml") == []
