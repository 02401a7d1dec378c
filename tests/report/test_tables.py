import dataclasses
import io

import pandas as pd
import pytest

from bench.report import column, tables
from bench.report.columns import COLUMNS
from bench.report.tables import VIEWS, environment_table, table
from bench.table import as_csv
from tests.data.measurements import case, gap, measured
from tests.data.records import CPU_RECORD, GPU_RECORD, bare, flagged, only
from tests.report.made import SMALL, lines

PARTS = ("to_device", "flatten", "zero_grad", "forward", "loss", "backward", "optimizer")

LONG = ("machine", "created_utc", "dataset")
BY_NAME = {view.name: view for view in VIEWS}


def shown(record, view):
    """The table as text, by heading."""
    found = table(record, BY_NAME[view])
    return pd.DataFrame(found.texts, columns=[one.heading for one in found.columns])


def of(raw):
    """Raw values, by heading."""
    return pd.DataFrame(list(raw.rows), columns=list(raw.headings), dtype=object)


def as_lines(found):
    return lines([[one.heading for one in found.columns], *found.texts])


def digits(value):
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("record", [CPU_RECORD, GPU_RECORD], ids=["cpu", "gpu"])
def test_every_table(record, snapshot):
    few = only(
        record, *(one.id for one in (*record.measurements, *record.unmeasured) if one.case.batch_size in (1, 64))
    )
    shown = [found for view in VIEWS if (found := table(few, view))]
    text = [f"{one.view.title} ({one.view.meaning}): {one.agreed}\n{as_lines(one)}\n" for one in shown]
    assert "\n".join(text) == snapshot


def test_the_environments(snapshot):
    tables = [environment_table(record) for record in (CPU_RECORD, GPU_RECORD)]
    texts = [lines([[column.heading for column in one.columns], *one.rows]) for one in tables]
    assert "\n\n".join(texts) == snapshot


def test_the_csv_files(snapshot):
    """Turned, a line a column, and of numbers so many digits as every version of numpy and scipy agrees on."""
    frames = {view.name: of(tables.raw(SMALL, view)) for view in VIEWS}
    frames["aten_calls"] = of(tables.aten_calls(SMALL))
    text = []
    for name, frame in ((name, frame) for name, frame in frames.items() if len(frame)):
        text.append(f"{name}.csv")
        for heading in frame:  # of what is long and the same in every row, the first and the last
            values = frame[heading].iloc[[0, -1] if heading in LONG else slice(None)]
            text.append(f"  {heading}: {' | '.join(map(digits, values))}")
    assert "\n".join(text) == snapshot


def test_where_all_is_measured_no_table_says_what_is_not():
    assert table(GPU_RECORD, BY_NAME["not_measured"]) is None


def test_what_rows_share_stands_in_the_caption_and_what_differs_in_columns():
    steps = [case(threads=1), case(threads=2)]
    record = dataclasses.replace(
        CPU_RECORD,
        measurements=[dataclasses.replace(measured(one, 4e-4), id=f"t{one.threads}") for one in steps],
        unmeasured=[],
    )
    found = table(record, BY_NAME["steps"])
    assert found.agreed == "device cpu, batch 64, precision fp32, compile off, optimizer adam, feed resident"
    assert list(shown(record, "steps")["Threads"]) == ["1", "2"]
    workers = dataclasses.replace(case("epoch", feed="loader"), num_workers=2, pin_memory=True)
    epoch = dataclasses.replace(record, measurements=[measured(workers, 2.0, n=6)])
    assert table(epoch, BY_NAME["epochs"]).agreed.endswith("feed loader, workers 2, pinned yes, threads 2")


def test_what_a_device_that_is_not_here_would_have_been_asked_takes_no_column():
    missing = [gap(case(device="cuda", feed="device")), gap(case(device="cuda", compiler="graph"))]
    record = dataclasses.replace(CPU_RECORD, measurements=[measured(case(), 4e-4)], unmeasured=missing)
    found = table(record, BY_NAME["steps"])
    assert found.agreed == "precision fp32, compile off, optimizer adam, feed resident, threads 2"
    assert not {"Compile", "Feed"} & set(shown(record, "steps").columns)
    assert table(dataclasses.replace(record, measurements=[]), BY_NAME["steps"]) is None  # said by what is missing


def test_a_missing_device_takes_a_row_in_one_table_only():
    assert any("cuda" in str(row) for row in table(CPU_RECORD, BY_NAME["not_measured"]).texts)
    assert not any("cuda" in str(row) for row in table(CPU_RECORD, BY_NAME["steps"]).texts)


def test_csv_has_raw_si_values_a_row_a_case_and_empty_for_missing():
    text = as_csv(tables.raw([CPU_RECORD, GPU_RECORD], BY_NAME["steps"]))
    frame = pd.read_csv(io.StringIO(text))
    rows = frame[frame.measured == "here"].set_index("id")
    assert len(rows) == sum(one.case.workload == "step" for one in (*CPU_RECORD.measurements, *CPU_RECORD.unmeasured))
    plain, gap, marked = (rows.loc[f"step[{id}]"] for id in ("cpu-b64-fp32", "cuda-b64-fp32", "cpu-b64-fp16"))
    assert plain["time_seconds"] == pytest.approx(391e-6, rel=1e-6)
    assert plain["times_above_roofline"] * plain["roofline_seconds"] == pytest.approx(391e-6, rel=1e-6)
    assert plain["bound_share"] == pytest.approx(240 / 391, rel=1e-6)
    assert gap.isna()["time_seconds"]
    assert marked.isna()["speedup"]
    assert marked["speedup_reason"] == "flagged: cold"
    assert set(frame[frame.measured == "elsewhere"].machine) == {GPU_RECORD.machine.label}
    # Whole numbers stay whole beside a gap.
    assert "step[cpu-b64-fp32],cpu,64,fp32,off,adam,resident,50,0,False,2,0.00039" in text


def test_no_view_without_a_view_of_it():
    assert {name for one in COLUMNS for name in one.views} == set(column.VIEW_NAMES) == {view.kind for view in VIEWS}
    for view in VIEWS:
        headings = [one.heading for one in COLUMNS if view.kind in one.views and one.show]
        assert len(headings) == len(set(headings))


def test_a_workload_with_a_title_has_a_table_with_the_columns_of_a_step():
    inference = [
        measured(case("inference", batch=size, hidden_size=hidden), 5e-5) for size, hidden in ((1, 50), (64, 9))
    ]
    found = table(dataclasses.replace(CPU_RECORD, measurements=inference, unmeasured=[]), BY_NAME["inference"])
    assert [column.name for column in found.columns[:2]] == ["batch_size", "hidden_size"]
    assert found.agreed.startswith("device cpu, ")
    assert {"time_seconds", "images_per_second"} <= {column.name for column in found.columns}
    assert len(found.texts) == 2


def raw(record, view):
    return of(tables.raw([record], BY_NAME[view])).set_index("id")


def test_the_parts_in_the_csv_add_up_to_their_sum():
    phases = raw(GPU_RECORD, "phases").loc["step[cuda-b64-fp32]"]
    parts = [phases[f"{part}_host_seconds"] for part in (*PARTS, "rest")]
    assert sum(parts) == pytest.approx(phases["sum_host_seconds"])
    assert phases["sum_host_seconds"] / phases["unmarked_host_seconds"] == pytest.approx(phases["sum_over_unmarked"])
    assert phases["fetch_host_seconds"] is None  # which is not 0


def test_a_count_that_there_is_none_of_is_missing_and_not_0():
    assert raw(GPU_RECORD, "counts").loc["step[cpu-b64-fp32]", "kernels_launched"] is None


def test_a_flagged_compiled_case_has_the_flag_for_its_reason():
    row = raw(GPU_RECORD, "compiled").loc["step[cuda-b64-bf16-compile]"]
    assert (row["pays_after_repetitions"], row["payoff_reason"]) == (None, "flagged: cold")


@pytest.mark.parametrize(
    ("compiled", "pays", "reason"),
    [(1.05, "never", "never: it is not faster"), (1.0001, "unclear", "unclear: it is not clearly faster"),
     (0.9999, "unclear", "unclear: it is not clearly faster")],
)  # fmt: skip
def test_compiling_that_does_not_pay(compiled, pays, reason):
    eager = measured(case(), 4e-4)
    twin = measured(case(compiler="default"), compiled * 4e-4)
    record = dataclasses.replace(CPU_RECORD, measurements=[eager, twin], unmeasured=[])
    assert list(shown(record, "compiled")["Pays after"]) == [pays]
    row = raw(record, "compiled").loc[twin.id]
    assert (row["pays_after_repetitions"], row["payoff_reason"]) == (None, reason)


def test_compiling_of_an_epoch_pays_in_epochs():
    both = [measured(case("epoch"), 0.4, n=12), measured(case("epoch", compiler="default"), 0.2, n=12)]
    record = dataclasses.replace(CPU_RECORD, measurements=both, unmeasured=[])
    assert shown(record, "compiled")["Pays after"][0] == "62 (61 to 62) epochs"


def test_cuda_graphs_that_nobody_knows_of():
    one = measured(case("step", "cuda", compiler="max-autotune"), 3e-4)
    unseen = dataclasses.replace(one.counters, kernels_launched=None, cuda_graph_launches=None, kernels_reason="CUPTI")
    for counters, text in (
        (one.counters, "none, no reason given"), (unseen, "not known: CUPTI"), (None, None),
    ):  # fmt: skip
        record = dataclasses.replace(GPU_RECORD, measurements=[dataclasses.replace(one, counters=counters)])
        frame = shown(record, "compiled")
        assert list(frame.get("CUDA graphs", [])) == ([text] if text else [])


def test_energy_is_a_column_only_where_a_row_has_a_number():
    some = only(GPU_RECORD, "step[cuda-b64-fp32]", "step[cuda-b64-fp32-max-autotune]")
    assert list(shown(some, "steps")["Energy"]) == ["-", "31.2 mJ"]
    assert "Energy" not in shown(CPU_RECORD, "steps")


def test_a_record_without_counts_parts_and_calibrations_has_no_such_tables_and_columns():
    record = bare(CPU_RECORD)
    assert [view.name for view in VIEWS if table(record, view)] == [
        "steps", "parts", "compiled", "epochs", "accuracy", "samples", "not_measured",
    ]  # fmt: skip
    assert not {"× roofline", "Largest cause", "Energy"} & set(shown(record, "steps"))
    assert not {"Pays after", "Graphs", "Breaks", "Why"} & set(shown(record, "compiled"))
    assert raw(record, "compiled")["payoff_reason"].iloc[0] == "the compile time was not measured"


def test_flagged_cases_and_their_comparisons_are_not_judged():
    ids = ("step[cpu-b1-fp32]", "step[cpu-b64-fp32]", "step[cpu-b64-fp16]", "step[cpu-b64-fp32-fused]")
    frame = shown(flagged(only(CPU_RECORD, *ids), ids[1]), "steps")
    assert "× eager fp32 CPU" not in frame  # which would be of ones and dashes
    assert frame["Note"][3] == "its baseline is flagged: cold"


def test_environment_says_once_how_energy_was_measured_or_why_not():
    rows = environment_table(GPU_RECORD).rows
    assert [row[1] for row in rows if row[0] == "energy"] == ["cpu", "cuda"]


def test_environment_says_once_why_kernels_are_not_known():
    def unseen(m):
        return dataclasses.replace(m, counters=m.counters and dataclasses.replace(m.counters, kernels_reason="CUPTI"))

    record = dataclasses.replace(GPU_RECORD, measurements=[unseen(m) for m in GPU_RECORD.measurements[-2:]])
    assert [row for row in environment_table(record).rows if row[0] == "kernels"] == [
        ["kernels", "cuda", "not known: CUPTI"]
    ]
    assert raw(record, "counts")["kernels_reason"].unique() == ["CUPTI"]
    assert not [row for row in environment_table(GPU_RECORD).rows if row[0] == "kernels"]
