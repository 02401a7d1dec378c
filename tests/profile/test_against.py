import dataclasses

import pytest

from bench.profile.against import difference
from bench.profile.model import Operator
from bench.profile.sentences import difference_sentence
from tests.profile.made import PROFILE

FUSED = dataclasses.replace(
    PROFILE,
    source="other",
    cost=dataclasses.replace(PROFILE.cost, unprofiled_seconds=7e-3, corrected_seconds=7e-3),
    phases=[dataclasses.replace(p, unprofiled_seconds=0.5e-3) if p.phase == "optimizer" else p for p in PROFILE.phases],
    operators=[
        *PROFILE.operators[:1],
        *PROFILE.operators[2:4],
        Operator("aten::_fused_adam_", "optimizer", "", 1, 0.2e-3, 0, 0, 0),
    ],
)


def test_parts_and_operators_account_for_the_difference():
    found = difference(PROFILE, FUSED)
    assert found.b_seconds - found.a_seconds == pytest.approx(-1e-3)
    assert (found.phases[0].phase, found.phases[0].difference_seconds) == ("optimizer", pytest.approx(-1e-3))
    rows = {row.name: row for row in found.operators}
    assert rows["Optimizer.step#Adam.step"].difference_seconds == pytest.approx(-1e-3)
    assert (rows["aten::sqrt"].a_calls, rows["aten::sqrt"].b_calls) == (4, 0)
    assert (rows["aten::_fused_adam_"].a_seconds, rows["aten::_fused_adam_"].b_seconds) == (0, 0.2e-3)
    sizes = [abs(row.difference_seconds) for row in found.operators]
    assert sizes == sorted(sizes, reverse=True)


def test_a_case_against_itself_has_no_difference():
    found = difference(PROFILE, PROFILE)
    assert {row.difference_seconds for row in (*found.phases, *found.operators)} == {0.0}


def test_an_operator_from_several_lines_is_one_row():
    twice = dataclasses.replace(
        PROFILE, operators=[*PROFILE.operators, dataclasses.replace(PROFILE.operators[2], line="x")]
    )
    row = next(row for row in difference(PROFILE, twice).operators if row.name == "aten::addmm")
    assert (row.a_calls, row.b_calls) == (2, 4)


def test_a_side_whose_trace_does_not_agree_is_named():
    apart = dataclasses.replace(FUSED, cost=dataclasses.replace(FUSED.cost, corrected_seconds=9e-3))
    assert "The trace of B does not agree" in difference_sentence(difference(PROFILE, apart))
