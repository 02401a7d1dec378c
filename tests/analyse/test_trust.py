import dataclasses

import pytest

from bench.analyse.cells import cells
from bench.analyse.floor import floor
from bench.analyse.statistics import summarise
from bench.analyse.trust import concerning, drift, impossible, judged, objections
from bench.record.model import Flag
from tests.analyse.synthetic import COUNTERS, epoch, names, record, step, yardstick, yardsticks

FULL = 101e-6  # the step's 10 MFLOP take 100 µs at the peak


def test_a_yardstick_that_moved_by_more_than_three_percent_has_drifted():
    assert drift(yardstick("copy", after=1.05)) == "yardstick copy was 5.0% slower after the run than before"
    assert drift(yardstick("copy", after=0.9)) == "yardstick copy was 10.0% faster after the run than before"
    assert drift(yardstick("copy", after=1.02)) is None
    assert drift(yardstick("copy", after=None)) is None  # the run was stopped before


def test_a_yardstick_that_moved_within_its_noise_has_not():
    noisy = [0.8, 1.2, 0.9, 1.1] * 10
    moved = [seconds * 1.05 for seconds in noisy]
    assert drift(yardstick("copy", samples_seconds=noisy, after_samples_seconds=moved)) is None


def test_a_neighbour_that_was_busy_during_one_probe_is_no_drift():
    # As it was seen: the median of the first probe 10% above that of the second, the fastest samples the same.
    disturbed, quiet = [3.0, 3.35, 3.38, 3.39, 3.4, 3.41, 3.42, 3.4], [3.0, 3.05, 3.06, 3.07, 3.06, 3.07, 3.08, 3.06]
    assert drift(yardstick("copy", samples_seconds=disturbed, after_samples_seconds=quiet)) is None
    slower = [1.1 * seconds for seconds in quiet]
    assert drift(yardstick("copy", samples_seconds=quiet, after_samples_seconds=slower)) is not None


def test_samples_too_alike_in_time_for_an_interval_drift_by_their_median_and_best():
    before = [1.0 + 0.001 * n for n in range(40)]
    assert summarise(before).low is None
    for factor, drifts in ((1.5, True), (1.01, False)):
        after = [factor * seconds for seconds in before]
        assert (drift(yardstick("copy", samples_seconds=before, after_samples_seconds=after)) is not None) is drifts


def test_drift_is_flagged_where_the_yardstick_could_matter():
    calm = step(10e-3)  # a hundredth of it is arithmetic
    busy = dataclasses.replace(step(FULL), id="busy")
    found = judged(record(calm, busy, sticks=yardsticks(matmul_fp32=1.1)))
    assert [names(m.flags) for m in found.measurements] == [[], ["drift"]]
    assert "matmul_fp32" in found.measurements[1].flags[0].reason


def test_the_price_of_a_call_concerns_every_case():
    found = judged(record(step(10e-3), epoch(), sticks=yardsticks(dispatch=1.2)))
    assert [names(m.flags) for m in found.measurements] == [["drift"], ["drift"]]


def test_the_hosts_dispatch_concerns_the_gpus_cases_and_a_gpus_yardsticks_not_the_cpus():
    sticks = [*yardsticks(), *yardsticks("cuda")]
    here = record(step(FULL), step(FULL, device="cuda"), sticks=sticks)
    cpu, cuda = ({(y.device, y.name) for y in concerning(m, here)} for m in here.measurements)
    assert cpu == {("cpu", "matmul_fp32"), ("cpu", "dispatch"), ("cpu", "copy_cached"), ("cpu", "copy")}
    assert cuda == {("cpu", "dispatch"), *(("cuda", name) for name in ("matmul_fp32", "copy_cached", "copy", "launch"))}


def test_without_a_floor_every_yardstick_of_the_device_may_concern():
    here = record(step(10e-3, counters=None))
    assert concerning(here.measurements[0], here) == here.yardsticks


def test_several_drifts_are_one_flag():
    found = judged(record(step(FULL), sticks=yardsticks(dispatch=1.2, matmul_fp32=1.1)))
    assert names(found.measurements[0].flags) == ["drift"]


def test_a_rate_above_the_measured_peak_is_impossible():
    quick = step(50e-6)
    assert impossible(quick, record()).startswith("2.0 times the measured peak of 100 GFLOP/s")
    assert impossible(step(FULL), record()) is None
    assert impossible(step(50e-6, counters=None), record()) is None
    found = judged(record(quick))
    assert names(found.measurements[0].flags) == ["impossible"]
    # An epoch computes in all of its steps.
    assert impossible(epoch(938 * 50e-6), record()) is not None
    assert impossible(epoch(938 * FULL), record()) is None


def test_less_than_half_of_what_the_bytes_take_is_impossible():
    bounds = floor(step(FULL), record())
    by_bytes = dataclasses.replace(step(FULL), counters=dataclasses.replace(COUNTERS, flops=0))
    at = floor(by_bytes, record()).memory_seconds
    assert at == bounds.memory_seconds
    slow, quick = (dataclasses.replace(by_bytes, samples_seconds=[share * at] * 10) for share in (0.6, 0.4))
    assert impossible(slow, record()) is None
    assert impossible(quick, record()) == "2.5 times as fast as its bytes can be moved here"


def test_flags_are_added_to_those_that_are_there():
    before = step(50e-6, flags=[Flag("cold", "no warm-up")])
    found = judged(record(before, sticks=yardsticks(dispatch=1.2)))
    assert names(found.measurements[0].flags) == ["cold", "drift", "impossible"]


def test_what_nothing_is_said_against_stays_as_it_is():
    here = record(step(10e-3), epoch())
    assert judged(here) == here


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], None), (["wide"], None), (["wide", "cold"], "cold"), (["drift", "cold", "drift"], "drift, cold")],
)
def test_every_flag_but_a_wide_interval_bars(flags, expected):
    assert objections(step(flags=[Flag(name, "planted") for name in flags])) == expected


def test_drift_and_the_impossible_keep_a_number_out_of_comparisons():
    slower = dataclasses.replace(step(400e-6), id="slower", case=dataclasses.replace(step().case, optimizer="fused"))
    good = record(step(300e-6), slower)
    assert all(cell.speedup.ratio for cell in cells(judged(good)))
    drifted = dataclasses.replace(good, yardsticks=yardsticks(dispatch=1.2))
    assert {cell.speedup.reason for cell in cells(judged(drifted))} == {"flagged: drift"}
    fast = dataclasses.replace(good, measurements=[step(20e-6), slower])
    baseline, other = cells(judged(fast))
    assert baseline.why_not_judged == "flagged: impossible"
    assert other.speedup.reason == "its baseline is flagged: impossible"


def test_counters_of_these_tests_are_what_they_are_taken_for():
    assert COUNTERS.flops / 1e11 == pytest.approx(100e-6)
