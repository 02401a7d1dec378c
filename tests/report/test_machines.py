import dataclasses

import pytest

from bench.record.model import Machine
from bench.report.machines import HANDFUL, overview, shown_in_full
from bench.report.markdown import markdown
from bench.report.page import page
from tests.data.measurements import COLD
from tests.data.records import CPU_RECORD, flagged
from tests.hostile import markdown_cells


def many(count):
    return [dataclasses.replace(CPU_RECORD, machine=Machine(f"m-{n}", f"Machine {n}")) for n in range(count)]


def columns(table):
    headings = [column.heading for column in table.columns]
    return dict(zip(headings, zip(*table.rows, strict=True), strict=True))


def test_a_handful_is_shown_in_full():
    records = many(HANDFUL)
    assert shown_in_full(records) is records
    assert overview(records) is None


def test_of_more_the_first_is_shown_in_full_and_all_stand_in_one_table():
    records = many(HANDFUL + 1)
    assert shown_in_full(records) == records[:1]
    found = columns(overview(records))
    assert [label.partition(",")[0] for label in found["Machine"]] == [record.machine.label for record in records]
    assert {"step[cpu-b64-fp32]", "epoch[cpu-b64-fp32]"} <= found.keys()
    assert not [head for head in found if "bf16" in head or "fused" in head]


def test_its_cases_are_those_that_most_machines_have_and_a_missing_one_is_a_dash():
    records = many(HANDFUL + 1)
    records[3] = dataclasses.replace(records[3], measurements=records[3].measurements[:1])
    found = columns(overview(records))
    assert found["step[cpu-b64-fp32]"][3] == "-"
    assert found["step[cpu-b64-fp32]"][2] != "-"


def test_a_flagged_number_says_so():
    records = [*many(HANDFUL), flagged(CPU_RECORD, "step[cpu-b64-fp32]", COLD)]
    assert "cold" in columns(overview(records))["step[cpu-b64-fp32]"][HANDFUL]


@pytest.mark.parametrize("write", [markdown, page])
def test_it_is_in_the_report_and_the_others_tables_are_not(write):
    records = many(HANDFUL + 1)
    text = write(shown_in_full(records), [], overview(records))
    assert text.count("Machines against cases") == 1
    assert text.count("Machine 4") == 1
    if write is markdown:
        assert ["Machine 4, 2026-01-02"] in [row[:1] for row in markdown_cells(text)]
