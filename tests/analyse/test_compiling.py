import pytest

from bench.analyse.cells import cells
from bench.analyse.compiling import payoff
from bench.analyse.statistics import Ratio
from tests.analyse.synthetic import record, steady, step
from tests.data.measurements import case, measured


def clear(value: float, width: float = 0.01) -> Ratio:
    return Ratio(value, value * (1 - width), value * (1 + width))


def test_compiling_has_paid_when_what_it_saves_has_repaid_it():
    found = payoff(12.0, 400e-6, clear(4 / 3))
    assert found.compile_seconds == 12.0
    assert found.speedup.value == pytest.approx(4 / 3)
    assert found.steps == pytest.approx(120_000, abs=1)


def test_the_steps_have_the_interval_of_what_a_step_saves():
    found = payoff(12.0, 1e-3, Ratio(1.25, 1.24, 1.26))
    assert found.low < 60_000 <= found.steps <= 60_001 < found.high
    assert [found.high, found.low] == [
        pytest.approx(12.0 / (1e-3 * (1 - 1 / bound)), abs=1) for bound in (found.speedup.low, found.speedup.high)
    ]
    assert found.sentence() == "compiling takes 12.0 s from cold and has paid after 60,000 (58,200 to 62,000) steps"


def test_steps_are_whole_and_rounded_up():
    assert payoff(2.5, 3.0, clear(1.5)).steps == 3


def test_what_is_clearly_slower_never_pays():
    found = payoff(12.0, 300e-6, clear(0.75))
    assert found.steps is None
    assert found.sentence() == "compiling takes 12.0 s from cold and is not won back: the compiled step is slower"


@pytest.mark.parametrize("speedup", [clear(1.0005), clear(0.9995), Ratio(1.5, None, None)])
def test_what_is_not_clearly_one_or_the_other_is_called_so(speedup):
    found = payoff(12.0, 1e-3, speedup)
    assert (found.steps, found.low, found.high) == (None, None, None)
    assert found.sentence() == "compiling takes 12.0 s from cold and is not clearly faster"


def test_a_cell_has_the_payoff_of_its_eager_twin_and_of_what_compiling_took():
    twin = measured(case(compiler="default"), 0.8e-3, samples_seconds=steady(0.8e-3))
    found = cells(record(step(), twin))[1].payoff
    assert found.speedup.value == pytest.approx(1.25, rel=1e-3)
    assert found.compile_seconds == twin.compilation.cold_seconds


def test_without_its_compile_time_nothing_is_known():
    twin = measured(case(compiler="default"), 0.8e-3, compilation=None)
    found = cells(record(step(), twin))[1]
    assert found.payoff is None
    assert found.why_no_payoff == "the compile time was not measured"
