"""What starting from nothing takes."""

import dataclasses

from bench.analyse.starting import STAGES, median_of, total_seconds
from bench.record.measurement import StartUp
from bench.report.sentences import findings
from tests.data.records import CPU_RECORD, only

STARTS = [StartUp(2.0 * n, 0.5, 0.25, 0.125, 1.0) for n in (1, 2, 4)]


def test_the_parts_add_up_to_the_whole():
    assert [total_seconds(one) for one in STARTS] == [3.875, 5.875, 9.875]
    assert sum(part(STARTS[0]) for part in STAGES.values()) == 3.875


def test_a_context_is_a_part_where_there_is_one():
    assert total_seconds(dataclasses.replace(STARTS[0], context_seconds=0.5)) == 4.375


def test_one_that_did_not_arrive_has_no_whole_and_leaves_no_median():
    lost = dataclasses.replace(STARTS[0], training_seconds=None)
    assert total_seconds(lost) is None
    assert median_of([*STARTS, lost], total_seconds) is None
    assert median_of([*STARTS, lost], lambda one: one.import_seconds) == 3.0
    assert median_of([], total_seconds) is None


def test_a_sentence_names_what_takes_the_most():
    record = only(CPU_RECORD, "accuracy[cpu-b64-fp32]")
    trained = [dataclasses.replace(m, start_ups=STARTS) for m in record.measurements]
    found = findings([dataclasses.replace(record, measurements=trained)])
    assert next(finding.sentences for finding in found if finding.topic == "Cold start") == [
        "A fresh process reaches 93% on the CPU after 5.88 s, of which 4.00 s are importing, 1.00 s are training, "
        "500 ms are reading the images (medians of 3)."
    ]
