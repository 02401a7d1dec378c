import dataclasses
import math

import pytest

from bench.axes import matrix
from bench.axes.case import case_id
from bench.suite import expected
from bench.suite.expected import (
    COMPILE_SECONDS,
    MARKED_SECONDS,
    PLAN_SECONDS,
    Effort,
    Rates,
    expected_seconds,
    fit,
    overhead_seconds,
    probe,
    wanted,
)
from fcnn.data import load_images
from tests.axes.test_case import changed

TRAIN = 60_000
# 400 µs a step and 1 µs an image; the loader takes 40 µs more an image.
RATES = Rates({"cpu": (400e-6, 1e-6)}, 40e-6)
EPOCH = 938 * 400e-6 + TRAIN * 1e-6
HURRIED = Effort(thorough=False)


class Images:
    train = range(TRAIN)


def options(**chosen):
    names = dict.fromkeys(matrix.option_names())
    return {**names, "num_workers": 0, "pin_memory": False, "epochs": 5, "seeds": 5, **chosen}


@pytest.fixture
def machine(monkeypatch):
    """Answers the probe with a machine so many times as slow as RATES."""

    def of(factor: float) -> None:
        step = tuple(factor * seconds for seconds in RATES.step_seconds["cpu"])
        found = Rates({"cpu": step}, factor * RATES.loader_seconds_per_image)  # type: ignore[arg-type]
        monkeypatch.setattr(expected, "probe", lambda images, devices: found)

    return of


def fitted(plan="quick", **chosen):
    selected = options(**{"device": ["cpu"], **chosen})
    cases = {case_id(case): case for case in matrix.cases(selected, plan)}
    return fit(cases, Images(), selected, plan)


@pytest.mark.parametrize("plan", ["quick", "suite"])
def test_a_slower_machine_gets_less_effort(machine, plan):
    efforts = []
    for factor in (0.2, 1, 2, 4, 100):
        machine(factor)
        efforts.append(fitted(plan)[0])
    assert [effort.step_seconds for effort in efforts] == sorted((e.step_seconds for e in efforts), reverse=True)
    assert efforts[0] == Effort(thorough=plan != "quick")
    assert efforts[-1] == dataclasses.replace(efforts[0], step_seconds=0.25, epochs=3, seeds=3)


def test_the_effort_is_the_largest_that_keeps_to_the_plans_time(machine):
    selected = options(device=["cpu"])
    cases = {case_id(case): case for case in matrix.cases(selected, "quick")}
    for factor in (1, 1.5, 2, 3):
        machine(factor)
        effort, seconds = fitted()
        total = sum(seconds.values()) + overhead_seconds(1)
        levels = list(wanted(selected, "quick").and_less())
        if effort != levels[-1]:
            assert total <= PLAN_SECONDS["quick"]
        if effort != levels[0]:
            more = levels[levels.index(effort) - 1]
            rates = expected.probe(None, {"cpu"})
            above = sum(expected_seconds(case, TRAIN, more, rates) for case in cases.values())
            assert above + overhead_seconds(1) > PLAN_SECONDS["quick"]


def test_a_budget_of_ones_own_is_kept_whatever_it_takes(machine):
    machine(100)
    effort, seconds = fitted(budget=2.0)
    assert effort == Effort(step_seconds=2.0, thorough=False)
    assert sum(seconds.values()) > PLAN_SECONDS["quick"]


def test_a_matrix_of_ones_own_is_kept_whatever_it_takes(machine):
    machine(100)
    assert fitted(workload=["epoch"], seeds=7, epochs=9)[0] == Effort(epochs=9, seeds=7, thorough=False)


def test_threads_and_devices_alone_are_still_the_plan(machine):
    machine(100)
    assert fitted(threads=[1])[0].step_seconds == 0.25


def test_fewer_epochs_than_were_asked_for_are_never_made_more(machine):
    machine(100)
    effort, _ = fitted(epochs=2, seeds=1)
    assert (effort.epochs, effort.seeds) == (2, 1)


def test_the_time_of_each_case_is_told(machine):
    machine(1)
    effort, seconds = fitted(batch=[1, 64])
    assert seconds == {
        f"step[cpu-b{batch}-fp32]": expected_seconds(changed(batch_size=batch), TRAIN, effort, RATES)
        for batch in (1, 64)
    }


def test_a_step_takes_half_its_budget_and_a_hundred_more_where_one_is_thorough():
    step = 400e-6 + 64 * 1e-6
    hurried = expected_seconds(changed(), TRAIN, HURRIED, RATES)
    assert hurried == pytest.approx(0.7 + 0.5 * 1.0 + 50 * step)
    assert expected_seconds(changed(), TRAIN, Effort(), RATES) == pytest.approx(hurried + 100 * step)
    # The hundred of a step that takes longer than 30 ms are left out.
    slow = Rates({"cpu": (0.1, 0.0)}, 0.0)
    assert expected_seconds(changed(), TRAIN, Effort(), slow) == expected_seconds(changed(), TRAIN, HURRIED, slow)


def test_an_epoch_takes_its_samples_and_its_beginning_twice_more():
    case = changed(workload="epoch")
    samples = max(5 * EPOCH, min(4.0, 40 * EPOCH))
    assert expected_seconds(case, TRAIN, Effort(), RATES) == pytest.approx(0.8 + 2 * EPOCH + samples)
    loader = EPOCH + TRAIN * 40e-6
    found = expected_seconds(changed(workload="epoch", feed="loader"), TRAIN, Effort(), RATES)
    assert found == pytest.approx(0.8 + 2 * MARKED_SECONDS + 5 * loader)


def test_accuracy_takes_a_training_a_seed():
    found = expected_seconds(changed(workload="accuracy"), TRAIN, Effort(seeds=3), RATES)
    assert found == pytest.approx(0.5 + 3 * 1.6 * EPOCH)


def test_compiling_takes_its_own_time_once():
    for workload in ("step", "epoch", "accuracy"):
        eager, compiled = (changed(workload=workload, compiler=compiler) for compiler in ("off", "default"))
        difference = [expected_seconds(case, TRAIN, Effort(), RATES) for case in (compiled, eager)]
        assert difference[0] - difference[1] == pytest.approx(COMPILE_SECONDS)


def test_a_larger_batch_is_a_longer_step_and_a_shorter_epoch():
    step, epoch = (
        [expected_seconds(changed(workload=w, batch_size=b), TRAIN, Effort(), RATES) for b in (16, 1024)]
        for w in ("step", "epoch")
    )
    assert step[0] < step[1]
    assert epoch[0] > epoch[1]


def test_every_device_adds_its_yardsticks():
    assert overhead_seconds(2) > overhead_seconds(1) > overhead_seconds(0) > 0


@pytest.mark.slow
def test_the_probe_tells_positive_rates(mnist_root):
    found = probe(load_images("MNIST", mnist_root), {"cpu"})
    fixed, per_image = found.step_seconds["cpu"]
    assert 0 < fixed < math.inf
    assert 0 <= per_image < math.inf
    assert 0 < found.loader_seconds_per_image < math.inf


@pytest.mark.parametrize(("instructions", "slower"), [(False, True), (True, False), (None, False)])
def test_a_number_format_that_the_processor_lacks_takes_longer(monkeypatch, instructions, slower):
    monkeypatch.setattr(expected, "has", lambda precision: instructions)
    plain = expected_seconds(changed(batch_size=4096), TRAIN, HURRIED, RATES)
    assert (expected_seconds(changed(batch_size=4096, precision="bf16"), TRAIN, HURRIED, RATES) > plain) is slower
