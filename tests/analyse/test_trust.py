import dataclasses

import pytest

from bench.analyse.cells import cells
from bench.analyse.roofline import roofline
from bench.analyse.statistics import summarise
from bench.analyse.trust import concerning, drift, impossible, judged, objections
from bench.record.measurement import Flag
from bench.record.model import Beside
from tests.analyse.synthetic import COUNTERS, calibration, calibrations, epoch, latencies, names, record, steady, step
from tests.data.measurements import samples
from tests.data.records import CPU_RECORD

FULL = 101e-6  # the step's 10 MFLOP take 100 µs at the peak


def test_a_calibration_that_moved_by_more_than_three_percent_has_drifted():
    assert drift(calibration("copy", after=1.05)) == "calibration probe copy was 5.0% slower after the run than before"
    assert drift(calibration("copy", after=0.9)) == "calibration probe copy was 10.0% faster after the run than before"
    assert drift(calibration("copy", after=1.02)) is None
    assert drift(calibration("copy", after=None)) is None  # the run was stopped before


def test_a_calibration_that_moved_within_its_noise_has_not():
    noisy = [0.8, 1.2, 0.9, 1.1] * 10
    moved = [seconds * 1.05 for seconds in noisy]
    assert drift(calibration("copy", samples_seconds=noisy, after_samples_seconds=moved)) is None


def test_a_neighbour_that_was_busy_during_one_probe_is_no_drift():
    # As it was seen: the median of the first probe 10% above that of the second, the fastest samples the same.
    disturbed, quiet = [3.0, 3.35, 3.38, 3.39, 3.4, 3.41, 3.42, 3.4], [3.0, 3.05, 3.06, 3.07, 3.06, 3.07, 3.08, 3.06]
    assert drift(calibration("copy", samples_seconds=disturbed, after_samples_seconds=quiet)) is None
    slower = [1.1 * seconds for seconds in quiet]
    assert drift(calibration("copy", samples_seconds=quiet, after_samples_seconds=slower)) is not None


def test_samples_too_alike_in_time_for_an_interval_drift_by_their_median_and_best():
    before = [1.0 + 0.001 * n for n in range(40)]
    assert summarise(before).low is None
    for factor, drifts in ((1.5, True), (1.01, False)):
        after = [factor * seconds for seconds in before]
        assert (drift(calibration("copy", samples_seconds=before, after_samples_seconds=after)) is not None) is drifts


def test_drift_is_flagged_where_the_calibration_could_matter():
    calm = step(10e-3)  # a hundredth of it is arithmetic
    busy = dataclasses.replace(step(FULL), id="busy")
    found = judged(record(calm, busy, sticks=calibrations(matmul_fp32=1.1)))
    assert [names(m.flags) for m in found.measurements] == [[], ["drift"]]
    assert "matmul_fp32" in found.measurements[1].flags[0].reason


def test_the_price_of_a_call_concerns_every_case():
    found = judged(record(step(10e-3), epoch(), sticks=calibrations(dispatch=1.2)))
    assert [names(m.flags) for m in found.measurements] == [["drift"], ["drift"]]


def test_the_hosts_dispatch_concerns_the_gpus_cases_and_a_gpus_calibrations_not_the_cpus():
    sticks = [*calibrations(), *calibrations("cuda")]
    here = record(step(FULL), step(FULL, device="cuda"), sticks=sticks)
    cpu, cuda = ({(y.device, y.name) for y in concerning(m, here)} for m in here.measurements)
    assert cpu == {("cpu", "matmul_fp32"), ("cpu", "dispatch"), ("cpu", "copy_cached"), ("cpu", "copy")}
    assert cuda == {("cpu", "dispatch"), *(("cuda", name) for name in ("matmul_fp32", "copy_cached", "copy", "launch"))}


def test_without_a_roofline_every_calibration_of_the_device_may_concern():
    here = record(step(10e-3, counters=None))
    assert concerning(here.measurements[0], here) == here.calibrations


def test_several_drifts_are_one_flag():
    found = judged(record(step(FULL), sticks=calibrations(dispatch=1.2, matmul_fp32=1.1)))
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
    bounds = roofline(step(FULL), record())
    by_bytes = dataclasses.replace(step(FULL), counters=dataclasses.replace(COUNTERS, flops=0))
    at = roofline(by_bytes, record()).memory_seconds
    assert at == bounds.memory_seconds
    slow, quick = (dataclasses.replace(by_bytes, samples_seconds=[share * at] * 40) for share in (0.6, 0.4))
    assert impossible(slow, record()) is None
    assert impossible(quick, record()) == "2.5 times as fast as its bytes can be moved here"


def test_steps_that_follow_one_another_too_soon_are_impossible():
    here = record(sticks=[*calibrations(), *calibrations("cuda"), *latencies(graph_node=1e-3)])
    assert impossible(step(0.6e-3, device="cuda"), here) is None
    found = impossible(step(0.4e-3, device="cuda"), here)
    assert found == "2.5 times as fast as its steps can follow one another here"


def test_a_latency_concerns_the_cases_of_which_it_may_be_a_tenth():
    here = record(sticks=[*calibrations("cuda"), *latencies(graph_node=2e-4, grid_barrier=1e-4)])
    for seconds, concerned in ((5e-4, {"grid_barrier"}), (5e-3, set())):
        found = {y.name for y in concerning(step(seconds, device="cuda"), here)}
        assert found & {"graph_node", "grid_barrier"} == concerned


def test_a_calibration_without_samples_has_not_drifted():
    assert drift(calibration("copy", samples_seconds=[], after_samples_seconds=[1.0])) is None


def test_flags_are_added_to_those_that_are_there():
    before = step(50e-6, flags=[Flag("cold", "no warm-up")])
    found = judged(record(before, sticks=calibrations(dispatch=1.2)))
    assert names(found.measurements[0].flags) == ["cold", "impossible", "drift"]


def test_what_nothing_is_said_against_stays_as_it_is():
    here = record(step(10e-3), epoch())
    assert judged(here) == here


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], []), (["drift"], []), (["processes-differ", "cold"], ["cold"]), (["cold", "x", "cold"], ["cold", "x"])],
)
def test_what_ratios_within_rounds_do_not_mind_does_not_bar(flags, expected):
    assert objections(step(flags=[Flag(name, "planted") for name in flags])) == expected


def test_the_impossible_keeps_a_number_out_of_comparisons_and_drift_does_not():
    slower = dataclasses.replace(step(400e-6), id="slower", case=dataclasses.replace(step().case, optimizer="fused"))
    good = record(step(300e-6), slower)
    assert all(cell.speedup.ratio for cell in cells(judged(good)))
    drifted = dataclasses.replace(good, calibrations=calibrations(dispatch=1.2))
    assert [names(cell.remarks) for cell in cells(drifted)] == [["drift"], ["drift"]]
    assert all(cell.speedup.ratio for cell in cells(drifted))
    fast = dataclasses.replace(good, measurements=[step(20e-6), slower])
    baseline, other = cells(judged(fast))
    assert baseline.why_not_judged == "flagged: impossible"
    assert other.speedup.reason == "its baseline is flagged: impossible"


def test_counters_of_these_tests_are_what_they_are_taken_for():
    assert COUNTERS.flops / 1e11 == pytest.approx(100e-6)


# What samples and rounds say


def flag_of(measurement, **changes):
    """Name and reason of the one flag that is derived of a step, in a record with these changes."""
    found = judged(dataclasses.replace(record(measurement), **changes)).measurements[0].flags
    return [(flag.name, flag.reason) for flag in found]


def test_a_clock_that_does_not_wait_for_the_device_is_unsynchronised():
    host = steady(1e-3)
    late = step(device_samples_seconds=[1.2 * seconds for seconds in host])
    assert flag_of(late) == [("unsynchronised", "in 40 blocks the device was still busy when the clock was read")]
    assert flag_of(step(device_samples_seconds=host)) == []


def test_processes_without_a_warm_up_are_cold():
    lazy = [seconds * (3 if number % 5 == 0 else 1) for number, seconds in enumerate(steady(1e-3))]
    ((name, reason),) = flag_of(step(samples_seconds=lazy))
    assert name == "cold"
    assert reason.startswith("no warm-up: the first sample of a process took 3.0 times as long")
    once = [seconds * (3 if number == 5 else 1) for number, seconds in enumerate(steady(1e-3))]
    assert flag_of(step(samples_seconds=once)) == []  # of one process, a blip of a shared machine


def test_graphs_within_timed_blocks_are_recompilations():
    assert flag_of(step(recompilations=2)) == [("recompiled", "torch.compile made 2 new graphs within timed blocks")]


def disturbed_rounds(count, reason):
    return [dataclasses.replace(r, disturbed=reason if r.number < count else None) for r in CPU_RECORD.rounds]


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("other processes kept 1.0 cores busy meanwhile", "contended"),
        ("2 other processes use the GPU", "gpu-shared"),
        ("the GPU has lowered its clocks (temperature (software))", "throttled"),
        ("the GPU's clocks were held back 20% of the time (power limit)", "throttled"),
        ("the run's own compile workers kept 1.0 cores busy meanwhile", "contended"),
        ("the control group made it wait for its quota, 0.4 core-seconds per second", "throttled"),
    ],
)
def test_a_machine_that_did_not_become_quiet_is_told(reason, name):
    assert flag_of(step(), rounds=disturbed_rounds(20, reason)) == []  # enough are left
    assert flag_of(step(), rounds=disturbed_rounds(30, reason)) == [
        (name, f"30 of 40 rounds were disturbed, so all count: {reason}")
    ]


def busy_rounds(others_cores, every=1):
    """Rounds beside others: where not in every one, in those that take ten times as long."""
    beside = Beside(others_cores=others_cores)
    return [
        r if r.number % every else dataclasses.replace(r, beside=beside, seconds=r.seconds * (1 if every == 1 else 10))
        for r in CPU_RECORD.rounds
    ]


CROWDED = "other processes kept 0.5 cores busy on average, and it needs all 2"


@pytest.mark.parametrize(
    ("threads", "others_cores", "every", "reason"),
    [
        (2, 0.5, 1, CROWDED),
        (2, 0.2, 1, None),
        (2, 0.9, 10, CROWDED),  # four rounds of forty, half of the time
        (1, 0.5, 1, None),  # the other core is theirs
        (4, 0.5, 1, CROWDED),
    ],
)
def test_a_team_on_all_cores_is_crowded_by_who_needs_one_for_much_of_the_time(threads, others_cores, every, reason):
    on_threads = dataclasses.replace(step(), case=dataclasses.replace(step().case, threads=threads))
    found = flag_of(on_threads, rounds=busy_rounds(others_cores, every))
    assert found == ([("crowded", reason)] if reason else [])


@pytest.mark.parametrize(
    ("changes", "crowds"),
    [
        ({"cpu_cores_usable": None}, False),  # of an old record
        ({"cpu_cores_usable": 4}, False),
        ({"cpu_quota_cores": 2.0, "cpu_cores_physical": 16}, False),  # others have the rest
        ({"cpu_quota_cores": 2.0, "cpu_cores_physical": 2}, True),
    ],
)
def test_where_cores_are_left_for_others_or_not_known_nothing_is_crowded(changes, crowds):
    hardware = {**CPU_RECORD.environment["hardware"], **changes}
    found = flag_of(step(), rounds=busy_rounds(0.5), environment={**CPU_RECORD.environment, "hardware": hardware})
    assert found == ([("crowded", CROWDED)] if crowds else [])


@pytest.mark.parametrize("name", ["crowded", "apart"])
def test_such_a_number_is_compared_within_its_run_and_with_no_other(name):
    here = step(flags=[Flag(name, "planted")])
    assert objections(here) == []
    assert objections(here, to_other_runs=True) == [name]


def handed_over(*microseconds):
    """Rounds of which each so many after each other had such a pace."""
    return [
        dataclasses.replace(one, beside=Beside(team_seconds=1e-6 * microseconds[one.number * len(microseconds) // 40]))
        for one in CPU_RECORD.rounds[:40]
    ]


def test_a_team_whose_cores_lay_apart_in_most_rounds_says_so_and_one_thread_does_not():
    rounds = handed_over(2.5, 4.4, 4.5, 4.5, 4.6)
    assert flag_of(step(), rounds=rounds) == [
        ("apart", "in 32 of 40 rounds the host had moved the cores apart: handing work over took 4.5 µs, 2.5 at best")
    ]
    alone = dataclasses.replace(step(), case=dataclasses.replace(step().case, threads=1))
    assert flag_of(alone, rounds=rounds) == []


def test_where_enough_rounds_are_left_the_others_do_not_count():
    assert flag_of(step(), rounds=handed_over(2.5, 2.6, 4.4, 4.5, 4.6)) == []


def test_processes_that_differ_by_more_than_their_rounds_say_so():
    luck = [1.0, 1.1, 0.95, 1.05, 1.2, 0.9, 1.0, 1.15]
    apart = [seconds * luck[number // 5] for number, seconds in enumerate(steady(1e-3))]
    ((name, reason),) = flag_of(step(samples_seconds=apart))
    assert name == "processes-differ"
    assert reason.startswith("processes of this program differ by 9.")
    assert flag_of(step(samples_seconds=samples("noise", 1e-3, spread=0.05))) == []
