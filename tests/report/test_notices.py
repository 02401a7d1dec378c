import dataclasses

import pytest

from bench.record.model import Beside
from bench.report.notices import notices
from tests.data.records import CPU_RECORD, FALLBACK_RECORD, PARTIAL_RECORD


def test_what_was_taken_under_other_timing_rules_says_so_first():
    old = dataclasses.replace(CPU_RECORD, timing_rule_version=1)
    assert notices(old)[0] == (
        "Taken under timing rules 1, today's are 2: its numbers are shown, and compared with nothing."
    )
    assert notices(CPU_RECORD) == []


def test_what_must_be_said_before_all_else(snapshot):
    assert notices(CPU_RECORD) == []
    assert "\n".join([*notices(PARTIAL_RECORD), *notices(FALLBACK_RECORD)]) == snapshot


@pytest.mark.parametrize(
    ("bare", "text"), [(1, "; 1 case was not taken apart, so without account and bound."), (0, "valid.")]
)
def test_an_interrupted_run_says_how_many_cases_have_no_roofline(bare, text):
    stopped = [dataclasses.replace(m, counters=None) for m in CPU_RECORD.measurements[:bare]]
    record = dataclasses.replace(
        CPU_RECORD, partial=True, unmeasured=[], measurements=[*stopped, *CPU_RECORD.measurements[bare:]]
    )
    if not bare:
        record = dataclasses.replace(record, measurements=[m for m in record.measurements if m.counters])
    assert notices(record)[0].endswith(text)


def shaken(by):
    """The record of a machine that was slower in every process, by so much of the first one's time."""
    slow = [1 + by * (number // 5) for number in range(40)]
    measurements = [
        dataclasses.replace(
            one,
            samples_seconds=[s * slow[n % 40] for n, s in zip(one.rounds, one.samples_seconds, strict=True)],
        )
        for one in CPU_RECORD.measurements
    ]
    return dataclasses.replace(CPU_RECORD, measurements=measurements)


def test_a_run_whose_times_hold_to_a_few_percent_says_what_holds_better():
    assert not any("steady" in text for text in notices(CPU_RECORD))
    text = notices(shaken(0.2))[0]
    assert text.startswith("This machine was not steady: most times hold to ±")
    assert "%, ratios to ±" in text


def test_times_that_hold_to_nothing_tell_nothing():
    assert notices(shaken(20.0))[0].startswith("This machine was so unsteady that most times tell nothing: stop ")


def test_a_run_whose_cores_others_needed_says_what_to_do_before_how_wide_it_is():
    beside = [dataclasses.replace(one, beside=Beside(others_cores=0.5)) for one in CPU_RECORD.rounds]
    (text,) = notices(dataclasses.replace(shaken(0.2), rounds=beside))
    assert text.startswith(f"Other processes needed the cores on which {len(CPU_RECORD.measurements)} cases computed")
    assert text.endswith("or measure on fewer threads (--threads 1).")


def apart(record):
    """With cores that lay apart in all rounds but the first eight."""
    near = 8
    paces = [*[2e-6] * near, *[4e-6] * (len(record.rounds) - near)]
    rounds = [
        dataclasses.replace(one, beside=Beside(team_seconds=team))
        for one, team in zip(record.rounds, paces, strict=True)
    ]
    return dataclasses.replace(record, rounds=rounds)


def test_a_run_whose_cores_lay_apart_says_so_and_what_to_do():
    (text,) = notices(apart(CPU_RECORD))
    assert text.startswith("While ")
    assert "cases computed, cores lay apart, as where the host of a virtual machine moves them" in text
    assert text.endswith("Run again, or measure on one thread (--threads 1).")


@pytest.mark.parametrize(
    ("count", "which"),
    [
        (1, "While step[cpu-b1-fp32] computed"),
        (3, "While step[cpu-b1-fp32], step[cpu-b4-fp32] and step[cpu-b16-fp32] computed"),
        (4, "While 4 cases computed"),
    ],
)
def test_a_few_cases_whose_cores_lay_apart_are_named(count, which):
    steps = [m for m in CPU_RECORD.measurements if m.case.workload == "step"][:count]
    assert notices(apart(dataclasses.replace(CPU_RECORD, measurements=steps)))[0].startswith(which)
