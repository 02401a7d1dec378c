import pytest

from bench.analyse.cells import cells
from bench.analyse.gains import changes, gains
from bench.analyse.statistics import Ratio
from tests.data.measurements import case
from tests.data.records import CPU_RECORD


def fields(found):
    return {axis.field: [getattr(one, axis.field) for one in others] for axis, others in found}


def test_a_step_can_be_computed_in_other_ways_and_an_epoch_also_fed_from_elsewhere():
    assert fields(changes(case("step", optimizer="fused")))["optimizer"] == ["adam", "foreach"]
    assert set(fields(changes(case("step")))) == {"precision", "compiler", "optimizer"}
    assert fields(changes(case("epoch")))["feed"] == ["device"]
    assert fields(changes(case("epoch", feed="loader")))["feed"] == ["resident", "device"]
    assert fields(changes(case("step", device="cuda")))["feed"] == ["device"]


def test_the_gains_are_of_measured_cases_alone_and_the_greatest_comes_first():
    plain, fused, foreach = case("step"), case("step", optimizer="fused"), case("step", optimizer="foreach")
    ratios = {fused: Ratio(1.25, 1.2, 1.3), foreach: Ratio(2.0, 1.9, 2.1)}
    ids = [(plain, "plain"), (fused, "fused"), (foreach, "foreach"), (case("step", precision="bf16"), "bf16")]
    asked = {one: id for one, id in ids if id != "plain"}
    found = gains(plain, 1e-3, asked, lambda other: next((r for c, r in ratios.items() if c == other), None))
    assert [(gain.field, gain.choice, gain.id) for gain in found] == [
        ("optimizer", "foreach", "foreach"),
        ("optimizer", "fused", "fused"),
    ]
    assert [gain.saved_seconds for gain in found] == [pytest.approx(5e-4), pytest.approx(2e-4)]


def test_a_cell_knows_what_would_make_it_faster_and_a_flagged_one_does_not():
    by_id = {cell.id: cell for cell in cells(CPU_RECORD)}
    found = by_id["step[cpu-b64-fp32]"].gains
    assert found[0].id == "step[cpu-b64-fp32-fused]"
    assert found[0].ratio.value == pytest.approx(391 / 275, rel=0.02)
    assert "step[cpu-b64-bf16]" in [gain.id for gain in found]
    assert found == tuple(sorted(found, key=lambda gain: -gain.ratio.value))
