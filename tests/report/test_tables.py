# ruff: noqa: E501 - whole lines, as they are written
import dataclasses
import io

import pandas as pd
import pytest

from bench.report import column
from bench.report.columns import COLUMNS
from bench.report.tables import VIEWS, environment_frame, raw_frame, table
from tests.data.records import CPU_RECORD, GPU_RECORD, PARTIAL_RECORD, case, flagged, measured, only

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
        "Device  Batch   Precision  Compile       Optimizer  Median    95% interval    Images/s  × eager fp32 CPU"
        "        Note",
        "cpu     1       fp32       off           adam       255.0 µs  254.6 to 255.2  3,920     1",
        "cpu     64      fp32       off           adam       391.0 µs  390.5 to 391.8  164,000   1",
        "cpu     64      fp16       off           adam       620 µs    616 to 629      103,000   -"
        "                       flagged: cold",
        "cpu     64      fp32       off           fused      274.9 µs  274.4 to 275.6  233,000   1.422 (1.418 to 1.426)",
        "cpu     64      fp32       max-autotune  adam       -         -               -         -"
        "                       failed: RuntimeError: out of patience",
        "cuda    1 … 64  fp32       off           adam       -         -               -         -"
        "                       2 cases impossible: no CUDA GPU here (torch.cuda.is_available() is False)",
    ]
    assert table(SMALL, BY_NAME["steps"]).agreed == "feed resident, threads 2"


def test_parts():
    assert shown(GPU_RECORD, "parts") == [
        "Part              Device  Batch  Median    95% interval    ÷ whole step",
        "forward           cuda    64     97.2 µs   97.0 to 97.3    0.2400 (0.2394 to 0.2405)",
        "forward_backward  cuda    64     247.1 µs  246.5 to 247.4  0.610 (0.608 to 0.611)",
        "optimizer         cuda    64     133.7 µs  133.5 to 133.9  0.3300 (0.3294 to 0.3308)",
        "step              cuda    64     405.0 µs  404.4 to 405.6  1",
    ]


def test_compiled_cases_show_what_compiling_costs():
    assert shown(GPU_RECORD, "compiled") == [
        "Device  Batch  Precision  Compile          Median    95% interval    × eager fp32 CPU        × not compiled"
        "          Compile time  First call  Note",
        "cuda    64     fp32       default          336.2 µs  335.5 to 336.6  0.931 (0.929 to 0.933)"
        "  1.205 (1.202 to 1.208)  8.41 s        8.41 s",
        "cuda    64     bf16       default          391 µs    386 to 392      -"
        "                       -                       8.41 s        8.41 s      flagged: cold",
        "cuda    64     fp32       reduce-overhead  128.0 µs  127.9 to 128.2  2.444 (2.438 to 2.449)"
        "  3.164 (3.157 to 3.169)  8.40 s        8.40 s",
    ]


def test_epochs_state_the_last_smaller_batch():
    assert shown(CPU_RECORD, "epochs") == [
        "Device  Batch  Feed      Median   95% interval    Images/s  × eager fp32 CPU  × DataLoader         Steps"
        "  Last batch  Note",
        "cpu     64     resident  372 ms   371 to 373      161,000   1                 6.85 (6.81 to 6.88)  938    32",
        "cpu     64     loader    2.550 s  2.536 to 2.553  23,500    1                 1                    938    32",
        "cpu     64     device    -        -               -         -                 -                    -      -"
        "           impossible: host memory is the CPU's device memory: see resident",
        "cuda    64     several   -        -               -         -                 -                    -      -"
        "           3 cases impossible: no CUDA GPU here (torch.cuda.is_available() is False)",
    ]


def test_accuracy():
    assert shown(GPU_RECORD, "accuracy") == [
        "Device  Batch  Test accuracy  Mean's 95% interval  Lowest  Train accuracy  At target  Time to target  Median"
        "  95% interval  × eager fp32 CPU  Note",
        "cuda    64     93.07%         92.86 to 93.28%      92.86%  93.21%          4 of 5     366 ms          410 ms"
        "  407 to 413    -                 no CPU baseline in this run",
    ]


def test_every_number_shows_its_samples_and_flags():
    record = only(CPU_RECORD, "step[cpu-b64-fp32]", "step[cpu-b64-fp16]")
    assert shown(record, "samples") == [
        "Case                Median    95% interval    Minimum  95th pct.  n   Outliers  Per sample  First call  Warm-up"
        "  Flags",
        "step[cpu-b64-fp32]  391.0 µs  390.5 to 391.8  387 µs   393 µs     40  0         15          7.82 ms     120 ms",
        "step[cpu-b64-fp16]  620 µs    616 to 629      604 µs   644 µs     40  0         10          12.4 ms     120 ms"
        "   cold: no warm-up: by far the first sample is the slowest",
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
        "flags", "note", "command",
    ]  # fmt: skip
    rows = frame[frame.measured == "here"].set_index("id")
    assert len(rows) == 7
    assert rows.loc["step[cpu-b64-fp32]", "median_seconds"] == pytest.approx(391e-6, rel=1e-6)
    assert rows.loc["step[cuda-b64-fp32]"].isna()["median_seconds"]
    assert rows.loc["step[cuda-b64-fp32]", "note"].startswith("impossible: no CUDA GPU")
    assert rows.loc["step[cpu-b64-fp16]"].isna()["speedup"]
    assert rows.loc["step[cpu-b64-fp16]", "speedup_reason"] == "flagged: cold"
    assert rows.loc["step[cpu-b64-fp32]", "command"].startswith("fcnn-bench run --workload step --device cpu")
    assert set(frame[frame.measured == "elsewhere"].machine) == {GPU_RECORD.machine.label}
    # Whole numbers stay whole beside a gap.
    assert "step[cpu-b64-fp32],cpu,64,fp32,off,adam,resident,0,False,2,0.000391" in text


def test_no_view_without_a_view_of_it():
    assert {name for one in COLUMNS for name in one.views} == set(column.VIEW_NAMES) == set(BY_NAME)
    for view in VIEWS:
        headings = [one.heading for one in COLUMNS if view.name in one.views and one.show]
        assert len(headings) == len(set(headings))


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
