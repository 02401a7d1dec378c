import dataclasses

import pytest

from bench.analyse.compiling import payoff
from bench.record.model import Compilation
from tests.analyse.synthetic import steady, step


def compiled(seconds: float, cold_seconds: float = 12.0, **changes):
    return step(seconds, compilation=Compilation(cold_seconds, 1, [], [], []), **changes)


def test_compiling_has_paid_when_what_it_saves_has_repaid_it():
    found = payoff(step(400e-6), compiled(300e-6))
    assert found.compile_seconds == 12.0
    assert found.speedup.value == pytest.approx(4 / 3)
    assert found.steps == pytest.approx(120_000, abs=1)


def test_the_steps_have_the_interval_of_what_a_step_saves():
    times = [(1 + 0.01 * (number % 3 - 1)) * 1e-3 for number in range(40)]
    found = payoff(step(samples_seconds=times), compiled(1e-3, samples_seconds=[0.8 * seconds for seconds in times]))
    assert found.low < 60_000 <= found.steps <= 60_001 < found.high
    assert [found.high, found.low] == [
        pytest.approx(12.0 / (1e-3 * (1 - 1 / bound)), abs=1) for bound in (found.speedup.low, found.speedup.high)
    ]
    assert found.sentence() == ("compiling takes 12.0 s from cold and has paid after 60,000 (58,400 to 61,700) steps")


def test_steps_are_whole_and_rounded_up():
    assert payoff(step(3.0), compiled(2.0, 2.5)).steps == 3


def test_what_is_clearly_slower_never_pays():
    found = payoff(step(300e-6), compiled(400e-6))
    assert found.steps is None
    assert found.sentence() == "compiling takes 12.0 s from cold and never pays here"


@pytest.mark.parametrize("factor", [1.0005, 0.9995])
def test_what_is_not_clearly_one_or_the_other_is_called_so(factor):
    noisy = dataclasses.replace(step(), samples_seconds=[(0.9 + 0.01 * (7 * i % 20)) * 1e-3 for i in range(40)])
    other = compiled(1e-3, samples_seconds=[factor * seconds for seconds in noisy.samples_seconds])
    found = payoff(noisy, other)
    assert not found.speedup.clear
    assert (found.steps, found.low, found.high) == (None, None, None)
    assert found.sentence() == "compiling takes 12.0 s from cold and is not clearly faster"


def test_without_its_compile_time_nothing_is_known():
    assert payoff(step(), step(0.5e-3)) is None


def test_too_few_samples_are_not_clear():
    few = compiled(200e-6, samples_seconds=steady(200e-6, 4)[:2])
    assert payoff(step(400e-6), few).sentence().endswith("is not clearly faster")
