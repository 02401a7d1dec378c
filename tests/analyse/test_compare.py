import dataclasses

import pytest

from bench.analyse.compare import compare, mismatch
from bench.record.model import Dataset, Flag
from tests.record.test_store import RECORD

STEADY = dataclasses.replace(RECORD.measurements[0], samples_seconds=[1e-3, 1.01e-3, 0.99e-3] * 10, flags=[])


def record(*measurements):
    return dataclasses.replace(RECORD, measurements=list(measurements))


def scaled(factor: float, **changes: object):
    samples = [factor * seconds for seconds in STEADY.samples_seconds]
    return dataclasses.replace(STEADY, samples_seconds=samples, **changes)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "no clear difference"), (2.0, "B is slower"), (0.5, "B is faster")]
)
def test_verdict_follows_the_interval(factor, verdict):
    (row,) = compare(record(STEADY), record(scaled(factor)))
    assert row.ratio.value == pytest.approx(factor)
    assert row.verdict == verdict


def test_flagged_and_missing_cases_are_shown_and_not_judged():
    other = dataclasses.replace(STEADY, id="step[cpu-b1-fp32]")
    flagged = scaled(9.0, flags=[Flag("drift", "the machine changed")])
    rows = compare(record(STEADY, other), record(flagged))
    assert [(row.ratio, row.verdict) for row in rows] == [(None, "flagged in B: drift"), (None, "not in B")]
    assert rows[0].b.median == pytest.approx(9e-3)


def test_the_same_id_with_other_threads_is_not_judged():
    case = dataclasses.replace(STEADY.case, threads=1)
    (row,) = compare(record(STEADY), record(scaled(2.0, case=case)))
    assert row.verdict == "the cases differ in their threads"


def test_other_images_or_other_timing_rules_are_refused():
    other = dataclasses.replace(RECORD, dataset=Dataset("MNIST-5k", "5,000 images", "1" * 64, 4000, 1000))
    assert mismatch(RECORD, RECORD) is None
    assert mismatch(RECORD, other) == "they differ in dataset.sha256: MNIST against 5,000 images"
    with pytest.raises(ValueError, match="timing_rule_version"):
        compare(RECORD, dataclasses.replace(RECORD, timing_rule_version=2))


@pytest.mark.parametrize("setting", ["flush_denormal", "deterministic_algorithms", "cudnn_benchmark"])
def test_records_of_other_settings_are_refused(setting):
    on, off = (
        dataclasses.replace(RECORD, environment={**RECORD.environment, "settings": {setting: value}})
        for value in (True, False)
    )
    assert mismatch(on, on) is None
    assert mismatch(on, off) == f"they differ in environment.settings.{setting}: True against False"
