import dataclasses
import itertools

import pytest

from bench.analyse.account import ARITHMETIC, COPIES, DATA, MEMORY, OVERHEAD, TERMS, UNEXPLAINED, account
from bench.record.measurement import Breakdown
from tests.analyse.synthetic import epoch, phases, record, step

PARTS = {"forward": 1e-4, "backward": 1e-4, "optimizer": 2e-4}
# A step of 1 ms, of which 400 µs depend on nothing; under the profiler, calls cost 30 and 100 µs more.
BASE = Breakdown(
    1e-3,
    4e-4,
    PARTS,
    {"product": 4.3e-4, "other": 2.5e-4, "rest": 5e-4},
    {"product": 3e-5, "other": 1e-4, "rest": 4.5e-4},
)
ON_A_GPU = Breakdown(1e-3, 9e-4, PARTS, {"product": 1e-4, "other": 5e-5, "copy": 5e-5}, {"product": 1e-6})


def of(found, seconds=1e-3, **changes):
    measurement = step(seconds, breakdown=found, **changes)
    return account(measurement, record(measurement))


def near(**microseconds):
    expected = {term: microseconds.get(term, 0.0) * 1e-6 for term in TERMS}
    return pytest.approx(expected, abs=1e-7, rel=2e-3)


def changed(**changes):
    return dataclasses.replace(BASE, **changes)


def test_the_terms_of_a_step_add_up_to_its_time():
    found = of(BASE)
    assert found.seconds == near(overhead=400, arithmetic=400, memory=150, unexplained=50)
    assert found.total_seconds == pytest.approx(1e-3, rel=2e-3)
    assert found.share(OVERHEAD) == pytest.approx(0.4, rel=2e-3)
    assert found.largest == OVERHEAD
    assert found.overhead_by_part == pytest.approx({"forward": 0.25, "backward": 0.25, "optimizer": 0.5})
    assert found.device_seconds is None


def test_what_another_process_saw_counts_by_its_share():
    """The time is of several processes, the breakdown of one more, which was half as fast."""
    assert of(BASE, 0.5e-3).seconds == near(overhead=200, arithmetic=200, memory=75, unexplained=25)


def of_a_pace(found, seconds, paces, teams=(None,)):
    """The account of a step in rounds that had these paces of a core and of a team."""
    measurement = step(seconds, breakdown=found)
    whole = record(measurement)
    rounds = [
        dataclasses.replace(one, beside=dataclasses.replace(one.beside, core_seconds=pace, team_seconds=team))
        for one, pace, team in zip(whole.rounds, itertools.cycle(paces), itertools.cycle(teams), strict=False)
    ]
    return account(measurement, dataclasses.replace(whole, rounds=rounds))


def test_overhead_is_told_by_the_pace_of_a_core_and_not_by_how_long_threads_took_to_hand_work_over():
    """When it was taken apart, the step took half as long again, and nothing else did."""
    slow = changed(step_seconds=1.5e-3, core_seconds=1e-4)
    assert of_a_pace(slow, 1e-3, [1e-4]).seconds[OVERHEAD] == pytest.approx(4e-4, rel=2e-3)
    assert of(slow).seconds[OVERHEAD] == pytest.approx(1e-3 * 4 / 15, rel=2e-3)  # by its share, as of older records


def test_overhead_of_rounds_that_were_disturbed_is_told_by_its_share():
    """The rounds took twice as long as the step that it was beside, and a core was as fast in both."""
    assert of_a_pace(changed(core_seconds=1e-4), 2e-3, [1e-4]).share(OVERHEAD) == pytest.approx(0.4, rel=2e-3)


def test_overhead_of_rounds_whose_threads_were_slow_to_hand_work_over_is_what_it_is_otherwise():
    """The rounds took half as long again, and one core was as fast."""
    slow = of_a_pace(changed(core_seconds=1e-4), 1.5e-3, [1e-4], [2e-6, *[4e-6] * 9])
    assert slow.seconds[OVERHEAD] == pytest.approx(4e-4, rel=2e-3)


def test_a_core_that_was_slower_meanwhile_makes_overhead_no_larger():
    slow = changed(step_seconds=2e-3, empty_step_seconds=8e-4, core_seconds=2e-4)
    assert of_a_pace(slow, 1e-3, [1e-4, 1.7e-4, 1.6e-4, 1.8e-4]).seconds == near(
        overhead=400, arithmetic=400, memory=150, unexplained=50
    )
    assert of_a_pace(slow, 0.3e-3, [1e-4]).seconds == near(overhead=300)


def test_what_the_profile_is_of_another_speed_counts_by_its_shares():
    """The machine was half as fast while it was profiled."""
    slow = {kind: 2 * seconds for kind, seconds in BASE.work_seconds.items()}
    empty = {kind: 2 * seconds for kind, seconds in BASE.empty_work_seconds.items()}
    assert of(changed(work_seconds=slow, empty_work_seconds=empty)).seconds == of(BASE).seconds


def test_less_work_than_none_is_none():
    found = of(changed(work_seconds={"product": 2e-5, "other": 2.5e-4, "rest": 6e-4}))
    assert found.seconds == near(overhead=400, memory=300, unexplained=300)


def test_a_step_that_has_as_little_to_do_is_all_overhead():
    found = of(changed(empty_step_seconds=1.1e-3))
    assert found.seconds == near(overhead=1000)
    assert found.largest == OVERHEAD
    same = of(changed(work_seconds=BASE.empty_work_seconds))
    assert same.seconds == near(overhead=400, unexplained=600)
    assert same.largest == UNEXPLAINED


# What is planted, and which terms grow by how many microseconds.
PLANTED = {
    "python in the step": ({"step": 100e-6, "empty": 100e-6}, {OVERHEAD: 100}),
    "an item of a tensor": ({"step": 3e-6, "empty": 3e-6}, {OVERHEAD: 3}),
    "a copy of the batch": (
        {"step": 42e-6, "empty": 2e-6, "other": 41e-6, "empty_other": 1e-6}, {OVERHEAD: 2, MEMORY: 40}
    ),
    "a layer four times as wide": ({"step": 1.4e-3, "product": 1.2e-3, "other": 2e-4}, {ARITHMETIC: 1200, MEMORY: 200}),
    "a second update": (
        {"step": 240e-6, "empty": 200e-6, "other": 90e-6, "empty_other": 50e-6}, {OVERHEAD: 200, MEMORY: 40}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("planted", "grows"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_in_its_term_and_in_no_other(planted, grows):
    base = of(BASE).seconds
    work, empty = BASE.work_seconds, BASE.empty_work_seconds
    found = Breakdown(
        BASE.step_seconds + planted["step"],
        BASE.empty_step_seconds + planted.get("empty", 0.0),
        PARTS,
        {
            **work,
            "product": work["product"] + planted.get("product", 0),
            "other": work["other"] + planted.get("other", 0),
        },
        {**empty, "other": empty["other"] + planted.get("empty_other", 0)},
    )
    after = of(found, found.step_seconds).seconds
    assert {term: after[term] - base[term] for term in TERMS} == near(**grows)


def test_an_epoch_is_its_waiting_and_its_steps():
    """The parts were seen in a process that took twice as long; the steps are divided as one alone is."""
    measurement = epoch(2.0, phases=phases(fetch=1.0, forward=1.0, optimizer=2.0), breakdown=BASE)
    found = account(measurement, record(measurement))
    seconds = {DATA: 0.5, OVERHEAD: 0.6, ARITHMETIC: 0.6, MEMORY: 0.225, UNEXPLAINED: 0.075, COPIES: 0.0}
    assert found.seconds == pytest.approx(seconds, rel=2e-3)
    assert found.total_seconds == pytest.approx(2.0, rel=2e-3)
    assert found.host_seconds == pytest.approx(1.1, rel=2e-3)


def test_a_device_that_waits_for_its_host_waits_for_overhead():
    """It works for 200 µs; of the other 800 the host needs 700 more than that for a step."""
    found = of(ON_A_GPU, device="cuda")
    assert found.seconds == near(copies=50, arithmetic=100, memory=50, overhead=700, unexplained=100)
    assert found.largest == OVERHEAD
    assert found.device_seconds == pytest.approx(2e-4, rel=2e-3)
    assert found.host_seconds == pytest.approx(9e-4, rel=2e-3)


def test_overhead_that_a_busy_device_hides_costs_nothing():
    work = {"product": 7e-4, "other": 2.4e-4, "copy": 0.0}
    found = of(dataclasses.replace(ON_A_GPU, work_seconds=work), device="cuda")
    assert found.seconds == near(arithmetic=700, memory=240, unexplained=60)
    assert found.largest == ARITHMETIC


def copying(call, copy=1.6e-3, kernels=1.6e-4, empty=1e-3, empty_call=4e-5):
    work = {"product": kernels, "other": 0.0, "copy": copy, "copy_call": call}
    return Breakdown(3e-3, empty, PARTS, work, {"copy_call": empty_call})


def test_behind_a_copy_that_the_host_waits_for_no_overhead_is_hidden():
    """Of 3 ms the host is in the copy's call for 1.94 more than when there is nothing to copy, and needs 1 besides."""
    found = of(copying(1.98e-3), 3e-3, device="cuda")
    assert found.seconds == near(copies=1940, arithmetic=160, overhead=840, unexplained=60)
    assert found.device_seconds == pytest.approx(1.76e-3, rel=2e-3)


def test_behind_a_copy_that_goes_on_beside_the_host_overhead_is_hidden():
    found = of(copying(4e-5), 3e-3, device="cuda")
    assert found.seconds == near(copies=1600, arithmetic=160, unexplained=1240)


def test_in_the_call_of_a_copy_the_host_waits_for_kernels_too():
    """They need 2.4 ms, and the host 1: the call begins 1.4 ms before they are done, and their time is theirs."""
    found = of(copying(1.94e-3, copy=5e-4, kernels=2.4e-3), 3e-3, device="cuda")
    assert found.seconds == near(copies=500, arithmetic=2400, unexplained=100)


def test_a_device_that_waits_for_batches_waits_for_data():
    measurement = epoch(2.0, phases=phases(fetch=1.6, forward=0.4), breakdown=ON_A_GPU, device="cuda")
    found = account(measurement, record(measurement))
    assert found.largest == DATA
    assert found.seconds[DATA] == pytest.approx(1.6, rel=2e-3)
    assert found.seconds[COPIES] == pytest.approx(60_000 / 64 * 5e-5, rel=2e-3)


def test_what_was_not_taken_apart_has_no_account():
    assert of(None) is None
    assert of(changed(work_seconds={}, empty_work_seconds={}), device="mps") is None
    measurement = epoch(2.0, phases=None, breakdown=BASE)
    assert account(measurement, record(measurement)) is None
