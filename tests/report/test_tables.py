# ruff: noqa: E501 - whole lines, as they are written
import dataclasses
import io

import pandas as pd
import pytest

from bench.report import column
from bench.report.columns import COLUMNS
from bench.report.tables import VIEWS, aten_calls_frame, environment_frame, raw_frame, table
from tests.data.records import CPU_RECORD, GPU_RECORD, PARTIAL_RECORD, bare, case, flagged, measured, only

PARTS = ("to_device", "flatten", "zero_grad", "forward", "loss", "backward", "optimizer")

BY_NAME = {view.name: view for view in VIEWS}


def shown(record, name):
    """The table as its lines, with columns two blanks apart; for whole tables in tests."""
    frame = table(record, BY_NAME[name]).frame
    rows = [list(frame.columns), *frame.to_numpy().tolist()]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


SMALL = only(
    CPU_RECORD,
    "step[cpu-b1-fp32]",
    "step[cpu-b64-fp32]",
    "step[cpu-b64-fp16]",
    "step[cpu-b64-fp32-fused]",
    "step[cuda-b1-fp32]",
    "step[cuda-b64-fp32]",
    "step[cpu-b64-fp32-max-autotune]",
)


def test_steps():
    assert shown(SMALL, "steps") == [
        "Device  Batch   Precision  Compile       Optimizer  Median    95% interval    Images/s  × eager fp32 CPU        × floor  Bound         Note",
        "cpu     1       fp32       off           adam       255.0 µs  254.6 to 255.2  3,920     1                       9.18     dispatch 95%",
        "cpu     64      fp32       off           adam       391.0 µs  390.5 to 391.8  164,000   1                       4.63     dispatch 62%",
        "cpu     64      fp16       off           adam       620 µs    616 to 629      103,000   -                       3.66     dispatch 39%  flagged: cold",
        "cpu     64      fp32       off           fused      274.9 µs  274.3 to 275.8  233,000   1.422 (1.418 to 1.426)  3.26     dispatch 48%",
        "cpu     64      fp32       max-autotune  adam       -         -               -         -                       -        -             failed: RuntimeError: out of patience",
        "cuda    1 … 64  fp32       off           adam       -         -               -         -                       -        -             2 cases impossible: no CUDA GPU here (torch.cuda.is_available() is False)",
    ]
    assert table(SMALL, BY_NAME["steps"]).agreed == "feed resident, threads 2"


def test_parts():
    assert shown(GPU_RECORD, "parts") == [
        "Part              Device  Batch  Median    95% interval    ÷ whole step               × floor  Bound",
        "forward           cuda    64     97.2 µs   97.0 to 97.3    0.2400 (0.2394 to 0.2405)  966      launch 48%",
        "forward_backward  cuda    64     247.1 µs  246.5 to 247.4  0.610 (0.608 to 0.611)     1,220    launch 47%",
        "optimizer         cuda    64     133.7 µs  133.5 to 133.9  0.3300 (0.3294 to 0.3308)  29.8     launch 96%",
        "step              cuda    64     405.0 µs  404.4 to 405.6  1                          90.2     launch 61%",
    ]


def test_compiled_cases_show_what_compiling_costs():
    assert shown(GPU_RECORD, "compiled") == [
        "Device  Batch  Precision  Compile          Median    × not compiled          Compile time  Pays after                          Graphs  Breaks  Recompiles  CUDA graphs                            Note",
        "cuda    64     fp32       default          336.2 µs  1.205 (1.202 to 1.208)  8.41 s        122,000 (121,000 to 123,000) steps  1       0       0           -",
        "cuda    64     bf16       default          391 µs    -                       8.41 s        -                                   1       0       0           -                                      flagged: cold",
        "cuda    64     fp32       reduce-overhead  128.0 µs  3.164 (3.157 to 3.169)  8.40 s        30,300 (30,300 to 30,400) steps     1       0       0           captured",
        "cuda    64     fp32       max-autotune     331.0 µs  1.224 (1.221 to 1.226)  21.7 s        293,000 (290,000 to 296,000) steps  1       0       0           skipped: mutated inputs (6 instances)",
    ]


SOME = only(
    GPU_RECORD,
    "step[cpu-b64-fp32]",
    "step[cuda-b64-fp32]",
    "step[cuda-b64-fp32-reduce-overhead]",
    "step[cuda-b64-bf16-compile]",
    "optimizer[cuda-b64-fp32]",
    "epoch[cuda-b64-fp32-loader]",
)


SOME_ENERGY = only(GPU_RECORD, "step[cuda-b64-fp32]", "step[cuda-b64-fp32-max-autotune]")


def test_why_it_takes_that_long():
    assert shown(SOME, "why") == [
        "Case                                 Median    × floor  Of peak  Bound         Evidence                                           What would help                                                                               Note",
        "step[cpu-b64-fp32]                   312.8 µs  4.63     22%      dispatch 60%  63 operator calls at 3.0 µs each: 60% of the time  a larger batch, a fused optimizer, or a compiled step: fewer and larger operator calls",
        "optimizer[cuda-b64-fp32]             133.7 µs  29.8     0%       launch 96%    33 operator calls at 3.9 µs each: 96% of the time  a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels",
        "step[cuda-b64-fp32]                  405.0 µs  90.2     0.050%   launch 61%    63 operator calls at 3.9 µs each: 61% of the time  a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels",
        "epoch[cuda-b64-fp32-loader]          2.31 s    549      <0.01%   data 83%      fetching batches: 83% of the time                  keep the images in memory as one tensor (feed resident), or give the loader worker processes",
        "step[cuda-b64-fp32-reduce-overhead]  128.0 µs  28.5     0.16%    launch 67%    22 operator calls at 3.9 µs each: 67% of the time  a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels",
        "step[cuda-b64-bf16-compile]          391 µs    87.1     <0.01%   launch 22%    22 operator calls at 3.9 µs each: 22% of the time  a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels                   flagged: cold",
    ]


def test_where_the_time_goes():
    assert shown(SOME, "phases") == [
        "Case                                 Data fetch  To device  Flatten  zero_grad  Forward  Loss     Backward  Optimizer  Rest     Sum ÷ unmarked  Device busy  Note",
        "step[cpu-b64-fp32]                   -           3.13 µs    2.50 µs  6.26 µs    53.2 µs  21.9 µs  106 µs    106 µs     16.3 µs  101%            -",
        "step[cuda-b64-fp32]                  -           4.05 µs    3.24 µs  8.10 µs    68.9 µs  28.4 µs  138 µs    138 µs     21.1 µs  101%            85.0 µs",
        "epoch[cuda-b64-fp32-loader]          1.92 s      4.12 ms    3.29 ms  8.23 ms    70.0 ms  28.8 ms  140 ms    140 ms     21.4 ms  101%            485 ms",
        "step[cuda-b64-fp32-reduce-overhead]  -           1.28 µs    1.02 µs  2.56 µs    21.8 µs  8.96 µs  43.5 µs   43.5 µs    6.66 µs  101%            26.9 µs",
        "step[cuda-b64-bf16-compile]          -           3.91 µs    3.13 µs  7.82 µs    66.5 µs  27.4 µs  133 µs    133 µs     20.3 µs  101%            82.1 µs      flagged: cold",
    ]


def test_exact_counts():
    assert shown(SOME, "counts") == [
        "Case                                 ATen calls  FLOPs       Parameter bytes  Gradient bytes  Optimizer bytes  Saved for backward  Peak bytes  Allocations  Growth in 100  Host waits  Copies  Copied bytes  Kernels  CUDA graphs replayed  Graphs  Breaks  Recompiles",
        "step[cpu-b64-fp32]                   63          10,227,200  159,040          159,040         318,096          216,064             548,480     21           0              0           0       0             -        -                     -       -       -",
        "optimizer[cuda-b64-fp32]             33          0           159,040          159,040         318,096          0                   548,480     11           -              0           0       0             28       0                     -       -       -",
        "step[cuda-b64-fp32]                  63          10,227,200  159,040          159,040         318,096          216,064             548,480     21           0              0           2       201,216       58       0                     -       -       -",
        "epoch[cuda-b64-fp32-loader]          63          10,227,200  159,040          159,040         318,096          216,064             548,480     21           -              0           2       201,216       58       0                     -       -       -",
        "step[cuda-b64-fp32-reduce-overhead]  22          10,227,200  159,040          159,040         318,096          216,064             548,480     7            0              0           2       201,216       17       2                     1       0       0",
        "step[cuda-b64-bf16-compile]          22          10,227,200  159,040          159,040         318,096          216,064             548,480     7            0              0           2       201,216       17       0                     1       0       0",
    ]


def test_breaks_and_recompilations_give_their_reasons():
    assert shown(CPU_RECORD, "compiled") == [
        "Device  Batch  Compile       Median    × not compiled          Compile time  Pays after                          Graphs  Breaks  Recompiles  Why                                                                                                                                                      Note",
        "cpu     64     default       375.4 µs  1.042 (1.038 to 1.044)  9.10 s        582,000 (550,000 to 630,000) steps  2       1       1           break: Data-dependent branching: the value of a tensor decides which way to go; recompiled: tensor 'x' size mismatch at index 0. expected 64, actual 32",
        "cpu     64     max-autotune  -         -                       -             -                                   -       -       -                                                                                                                                                                    failed: RuntimeError: out of patience",
    ]


def test_epochs_state_the_last_smaller_batch():
    assert shown(CPU_RECORD, "epochs") == [
        "Device  Batch  Feed      Median   95% interval    Images/s  × eager fp32 CPU  × DataLoader         × floor  Bound         Steps  Last batch  Note",
        "cpu     64     resident  372 ms   371 to 373      161,000   1                 6.85 (6.81 to 6.88)  4.70     dispatch 61%  938    32",
        "cpu     64     loader    2.550 s  2.536 to 2.553  23,500    1                 1                    32.2     data 83%      938    32",
        "cpu     64     device    -        -               -         -                 -                    -        -             -      -           impossible: host memory is the CPU's device memory: see resident",
        "cuda    64     several   -        -               -         -                 -                    -        -             -      -           3 cases impossible: no CUDA GPU here (torch.cuda.is_available() is False)",
    ]


def test_accuracy():
    assert shown(GPU_RECORD, "accuracy") == [
        "Device  Batch  Test accuracy  Mean's 95% interval  Lowest  Train accuracy  At target  Time to target  Median  95% interval  × eager fp32 CPU  Note",
        "cuda    64     93.07%         92.86 to 93.28%      92.86%  93.21%          4 of 5     366 ms          410 ms  407 to 413    -                 no CPU baseline in this run",
    ]


def test_every_number_shows_its_samples_and_flags():
    record = only(CPU_RECORD, "step[cpu-b64-fp32]", "step[cpu-b64-fp16]")
    assert shown(record, "samples") == [
        "Case                Median    95% interval    Minimum  95th pct.  n   Outliers  Per sample  First call  Warm-up  Flags",
        "step[cpu-b64-fp32]  391.0 µs  390.5 to 391.8  387 µs   393 µs     40  0         15          7.82 ms     120 ms",
        "step[cpu-b64-fp16]  620 µs    616 to 629      604 µs   644 µs     40  0         10          12.4 ms     120 ms   cold: no warm-up: by far the first sample is the slowest",
    ]


def test_interrupted_and_not_measured():
    assert shown(PARTIAL_RECORD, "not_measured") == [
        "Case                        Kind         Reason",
        "epoch[cpu-b64-fp32-loader]  interrupted  the run was stopped before its turn",
        "epoch[cpu-b64-fp32]         interrupted  the run was stopped before its turn",
    ]
    assert table(GPU_RECORD, BY_NAME["not_measured"]) is None


def test_what_rows_share_stands_in_the_caption_and_what_differs_in_columns():
    steps = [case(threads=1), case(threads=2)]
    record = dataclasses.replace(
        CPU_RECORD,
        measurements=[dataclasses.replace(measured(one, 4e-4), id=f"t{one.threads}") for one in steps],
        unmeasured=[],
    )
    found = table(record, BY_NAME["steps"])
    assert found.agreed == "precision fp32, compile off, optimizer adam, feed resident"
    assert list(found.frame["Threads"]) == ["1", "2"]
    workers = dataclasses.replace(case("epoch", feed="loader"), num_workers=2, pin_memory=True)
    epoch = dataclasses.replace(record, measurements=[measured(workers, 2.0, n=6)])
    assert table(epoch, BY_NAME["epochs"]).agreed.endswith("feed loader, workers 2, pinned yes, threads 2")


def test_csv_has_raw_si_values_a_row_a_case_and_empty_for_missing():
    text = raw_frame([SMALL, GPU_RECORD], BY_NAME["steps"]).to_csv(index=False)
    frame = pd.read_csv(io.StringIO(text))
    assert list(frame.columns) == [
        "machine", "measured", "created_utc", "dataset", "id", "device", "batch_size", "precision", "compiler",
        "optimizer", "feed", "num_workers", "pin_memory", "threads", "median_seconds", "interval_low_seconds",
        "interval_high_seconds", "images_per_second", "speedup", "speedup_low", "speedup_high", "speedup_reason",
        "times_above_floor", "floor_seconds", "floor_reason", "bound", "bound_share", "energy_joules", "energy_reason", "flags", "note",
        "command",
    ]  # fmt: skip
    rows = frame[frame.measured == "here"].set_index("id")
    assert len(rows) == 7
    assert rows.loc["step[cpu-b64-fp32]", "median_seconds"] == pytest.approx(391e-6, rel=1e-6)
    assert rows.loc["step[cuda-b64-fp32]"].isna()["median_seconds"]
    assert rows.loc["step[cuda-b64-fp32]", "note"].startswith("impossible: no CUDA GPU")
    assert rows.loc["step[cpu-b64-fp16]"].isna()["speedup"]
    assert rows.loc["step[cpu-b64-fp16]", "speedup_reason"] == "flagged: cold"
    assert rows.loc["step[cpu-b64-fp32]", "command"].startswith("fcnn-bench run --workload step --device cpu")
    assert rows.loc["step[cpu-b64-fp32]", "times_above_floor"] * rows.loc[
        "step[cpu-b64-fp32]", "floor_seconds"
    ] == pytest.approx(391e-6, rel=1e-6)
    assert rows.loc["step[cpu-b64-fp32]", "bound"] == "dispatch"
    assert rows.loc["step[cpu-b64-fp32]", "bound_share"] == pytest.approx(63 * 3.85e-6 / 391e-6, rel=0.01)
    assert rows.loc["step[cpu-b64-fp32]"].isna()["energy_joules"]
    assert rows.loc["step[cpu-b64-fp32]", "energy_reason"].startswith("not measurable here: ")
    assert set(frame[frame.measured == "elsewhere"].machine) == {GPU_RECORD.machine.label}
    # Whole numbers stay whole beside a gap.
    assert "step[cpu-b64-fp32],cpu,64,fp32,off,adam,resident,0,False,2,0.000391" in text


def test_no_view_without_a_view_of_it():
    assert {name for one in COLUMNS for name in one.views} == set(column.VIEW_NAMES) == set(BY_NAME)
    for view in VIEWS:
        headings = [one.heading for one in COLUMNS if view.name in one.views and one.show]
        assert len(headings) == len(set(headings))


def raw(record, view):
    return raw_frame([record], BY_NAME[view]).set_index("id")


def test_csv_of_parts_and_counts_is_raw():
    phases = raw(SOME, "phases").loc["step[cuda-b64-fp32]"]
    parts = [phases[f"{part}_host_seconds"] for part in (*PARTS, "rest")]
    assert sum(parts) == pytest.approx(phases["sum_host_seconds"])
    assert phases["unmarked_host_seconds"] == pytest.approx(405e-6)
    assert phases["sum_over_unmarked"] == pytest.approx(1.01)
    assert phases["device_busy_seconds"] == pytest.approx(0.21 * 405e-6)
    assert phases["fetch_host_seconds"] is None
    counts = raw(SOME, "counts").loc["step[cuda-b64-fp32-reduce-overhead]"]
    assert (counts["aten_calls"], counts["flops"], counts["growth_bytes"]) == (22, 10_227_200, 0)
    assert (counts["kernels_launched"], counts["cuda_graph_launches"], counts["graphs"]) == (17, 2, 1)
    assert raw(SOME, "counts").loc["step[cpu-b64-fp32]", "kernels_launched"] is None


def test_csv_of_compilation_has_every_reason():
    row = raw(CPU_RECORD, "compiled").loc["step[cpu-b64-fp32-compile]"]
    assert row["pays_after_repetitions"] == 581_842
    assert row["graph_break_reasons"].startswith("Data-dependent branching")
    assert row["recompile_reasons"] == "tensor 'x' size mismatch at index 0. expected 64, actual 32"
    flags = raw(GPU_RECORD, "compiled").loc["step[cuda-b64-bf16-compile]"]
    assert (flags["pays_after_repetitions"], flags["payoff_reason"]) == (None, "flagged: cold")
    skipped = raw(GPU_RECORD, "compiled").loc["step[cuda-b64-fp32-max-autotune]"]
    assert skipped["cuda_graph_skip_reasons"] == "skipping cudagraphs due to mutated inputs (6 instances)"


@pytest.mark.parametrize(
    ("compiled", "pays", "reason"),
    [(1.02, "never", "never: it is not faster"), (1.0001, "unclear", "unclear: it is not clearly faster"),
     (0.9999, "unclear", "unclear: it is not clearly faster")],
)  # fmt: skip
def test_compiling_that_does_not_pay(compiled, pays, reason):
    eager = measured(case(), 4e-4)
    scaled = [compiled * seconds for seconds in eager.samples_seconds]
    twin = measured(case(compiler="default"), 4e-4, samples_seconds=scaled)
    record = dataclasses.replace(CPU_RECORD, measurements=[eager, twin], unmeasured=[])
    assert list(table(record, BY_NAME["compiled"]).frame["Pays after"]) == [pays]
    row = raw(record, "compiled").loc[twin.id]
    assert (row["pays_after_repetitions"], row["payoff_reason"]) == (None, reason)


def test_compiling_of_an_epoch_pays_in_epochs():
    both = [measured(case("epoch"), 0.4, n=12), measured(case("epoch", compiler="default"), 0.2, n=12)]
    record = dataclasses.replace(CPU_RECORD, measurements=both, unmeasured=[])
    assert table(record, BY_NAME["compiled"]).frame["Pays after"][0] == "61 (61 to 62) epochs"


def test_cuda_graphs_that_nobody_knows_of():
    one = measured(case("step", "cuda", compiler="max-autotune"), 3e-4)
    for counters, text in ((one.counters, "none, no reason given"), (None, None)):
        record = dataclasses.replace(GPU_RECORD, measurements=[dataclasses.replace(one, counters=counters)])
        frame = table(record, BY_NAME["compiled"]).frame
        assert list(frame.get("CUDA graphs", [])) == ([text] if text else [])


def test_energy_is_a_column_only_where_a_row_has_a_number():
    frame = table(SOME_ENERGY, BY_NAME["steps"]).frame
    assert list(frame["Energy"]) == ["-", "31.2 mJ"]
    assert "Energy" not in table(CPU_RECORD, BY_NAME["steps"]).frame


def test_calls_by_name():
    frame = aten_calls_frame([only(CPU_RECORD, "forward[cpu-b64-fp32]"), only(GPU_RECORD, "step[cuda-b1-fp32]")])
    assert frame.drop(columns=["machine", "created_utc"]).to_numpy().tolist() == [
        ["here", "forward[cpu-b64-fp32]", "aten::addmm float32", 2],
        ["here", "forward[cpu-b64-fp32]", "aten::t float32", 2],
        ["here", "forward[cpu-b64-fp32]", "aten::mul_ float32", 8],
        ["elsewhere", "step[cuda-b1-fp32]", "aten::addmm float32", 2],
        ["elsewhere", "step[cuda-b1-fp32]", "aten::t float32", 2],
        ["elsewhere", "step[cuda-b1-fp32]", "aten::mul_ float32", 59],
    ]


def test_a_record_without_counts_parts_and_yardsticks_has_no_such_tables_and_columns():
    record = bare(CPU_RECORD)
    assert [view.name for view in VIEWS if table(record, view)] == [
        "steps", "parts", "compiled", "epochs", "accuracy", "samples", "not_measured",
    ]  # fmt: skip
    assert not {"× floor", "Bound", "Energy"} & set(table(record, BY_NAME["steps"]).frame)
    assert not {"Pays after", "Graphs", "Breaks", "Why"} & set(table(record, BY_NAME["compiled"]).frame)
    assert raw(record, "compiled")["payoff_reason"].iloc[0] == "the compile time was not measured"


def test_a_flagged_baseline_is_said_in_the_note():
    frame = table(flagged(SMALL, "step[cpu-b64-fp32]"), BY_NAME["steps"]).frame
    assert list(frame["× eager fp32 CPU"]) == ["1", "-", "-", "-", "-", "-"]
    assert frame["Note"][3] == "its baseline is flagged: cold"


def test_environment():
    assert environment_frame(CPU_RECORD).to_numpy().tolist()[1:4] == [
        ["hardware", "cpu cores usable", "2"],
        ["hardware", "memory", "24.0 GiB"],
        ["hardware", "cuda", "none: no CUDA GPU here (torch.cuda.is_available() is False)"],
    ]
    values = dict(environment_frame(CPU_RECORD).to_numpy()[:, 1:].tolist())
    assert (values["torch debug"], values["cpu quota cores"]) == ("no", "-")


def test_environment_says_once_how_energy_was_measured_or_why_not():
    rows = environment_frame(GPU_RECORD).to_numpy().tolist()
    assert [row for row in rows if row[0] == "energy"] == [
        ["energy", "cpu", "not measurable here: this system shows no energy counter of the processor (RAPL)"],
        ["energy", "cuda", "NVML total energy of the GPU"],
    ]
