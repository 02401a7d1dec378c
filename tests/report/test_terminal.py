import io

import pytest
from rich.console import Console

from bench.report.terminal import show
from tests.data.records import CPU_RECORD, FALLBACK_RECORD, GPU_RECORD, only
from tests.report.made import SMALL


def printed(record, *elsewhere, width=80):
    out = io.StringIO()
    show(record, Console(file=out, width=width, color_system=None), elsewhere)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_the_whole_of_a_small_record(width, snapshot):
    ours, theirs = SMALL
    assert "\n".join(printed(ours, theirs, width=width)) == snapshot


def test_nothing_is_cut_off_in_80_columns():
    for record in (CPU_RECORD, GPU_RECORD):
        lines = printed(record, width=80)
        assert not [line for line in lines if "…" in line]
        assert max(map(len, lines)) <= 80


def columns(record, width):
    lines = printed(only(record, *(one.id for one in record.measurements if one.case.workload == "step")), width=width)
    start = lines.index("Training step") + 1
    head = next(n for n, line in enumerate(lines[start:], start) if line.split()[:1] in (["Device"], ["Batch"]))
    return lines[head].split(), lines[head + 1].split()


@pytest.mark.slow
def test_the_least_useful_columns_go_first_where_a_table_is_too_wide():
    assert " ".join(columns(GPU_RECORD, 120)[0]).endswith("CPU × roofline cause")
    heads, row = columns(GPU_RECORD, 80)
    assert "Images/s" not in heads
    assert row[-2:] == ["9.11", "overhead"]
    assert columns(CPU_RECORD, 80)[1][-2:] == ["overhead", "94%"]
    assert columns(GPU_RECORD, 50)[0][-1] == "Time"


def test_warnings_come_first_and_elsewhere_is_spoken_of():
    lines = printed(FALLBACK_RECORD, GPU_RECORD)
    assert lines[0].startswith("Not the full dataset: no MNIST under /data")
    assert "elsewhere: Synthetic GPU" in " ".join(" ".join(lines).split())
