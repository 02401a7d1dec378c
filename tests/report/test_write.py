# ruff: noqa: E501 - whole lines, as they are written
import dataclasses
import re

import pytest

from bench.measure.honesty import CHECKS
from bench.record.model import Flag
from bench.report.highlights import highlights
from bench.report.plots import plots
from bench.report.words import FLAGS
from bench.report.write import write_report
from tests.data.records import (
    CPU_RECORD,
    FALLBACK_RECORD,
    GPU_RECORD,
    PARTIAL_RECORD,
    bare,
    case,
    flagged,
    measured,
    only,
)

TABLES = [
    "accuracy", "aten_calls", "compiled", "counts", "epochs", "not_measured", "parts", "phases", "samples", "steps", "why",
]  # fmt: skip
SETS = {
    "cpu": [CPU_RECORD],
    "gpu": [GPU_RECORD],
    "both": [CPU_RECORD, GPU_RECORD],
    "three": [CPU_RECORD, GPU_RECORD, FALLBACK_RECORD],
    "partial": [PARTIAL_RECORD],
    "fallback": [FALLBACK_RECORD, GPU_RECORD],
    "one step": [only(CPU_RECORD, "step[cpu-b64-fp32]")],
    "bare": [bare(CPU_RECORD), bare(GPU_RECORD)],
    "no number": [dataclasses.replace(CPU_RECORD, measurements=[])],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report([CPU_RECORD, GPU_RECORD], folder)
    return folder


def test_all_files_are_there(report):
    files = sorted(str(path.relative_to(report)) for path in report.rglob("*") if path.is_file())
    assert files == sorted(
        [
            "report.html",
            "report.md",
            *(f"tables/{name}.csv" for name in TABLES),
            *(f"plots/{name}.svg" for name in ("accuracy", "epochs", "parts", "steps")),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_same_records_give_the_same_bytes(tmp_path, name):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write_report(SETS[name], folder)
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    )
    assert first == second
    assert len(first) >= 4


def test_every_number_has_its_command_in_page_and_markdown(report):
    for text in ((report / "report.html").read_text("utf-8"), (report / "report.md").read_text("utf-8")):
        for record in (CPU_RECORD, GPU_RECORD):
            for measurement in record.measurements:
                assert measurement.id in text
                assert measurement.command in text


def test_every_gap_says_why_in_page_and_markdown(report):
    for text in ((report / "report.html").read_text("utf-8"), (report / "report.md").read_text("utf-8")):
        for gap in CPU_RECORD.unmeasured:
            assert gap.id in text
        assert "failed: RuntimeError: out of patience" in text
        assert "8 cases impossible: no CUDA GPU here" in text


def test_the_page_is_one_small_file_that_fetches_nothing(report):
    page = (report / "report.html").read_text("utf-8")
    assert len(page.encode()) < 1_000_000
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:,)[^"']*""", page.replace("xlink:href=", ""))
    assert not re.findall(r"url\((?!#)", page)
    assert page.count("<svg") == 4


def test_ids_in_the_page_are_unique_and_links_lead_somewhere(report):
    page = (report / "report.html").read_text("utf-8")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_elsewhere_is_marked(report):
    page, text = (report / "report.html").read_text("utf-8"), (report / "report.md").read_text("utf-8")
    assert page.count('<span class="place away">Measured elsewhere</span>') == 7
    assert text.count("**Measured elsewhere · Synthetic GPU (test data) with Other CPU, 16 cores, 2025-12-24 · ") == 10
    assert "Measured elsewhere" not in _markdown([CPU_RECORD])


def _markdown(records):
    from bench.report.markdown import markdown

    return markdown(records, plots(records))


def test_the_whole_markdown_of_a_small_record():
    record = only(CPU_RECORD, "step[cpu-b64-fp32]", "step[cpu-b64-fp16]", "step[cuda-b64-fp32]", partial=True)
    record = dataclasses.replace(record, environment={"hardware": {"cpu": "A|B"}, "software": {}, "settings": {}})
    assert _markdown([record]).splitlines() == SMALL_MARKDOWN.splitlines()


def test_text_from_the_record_is_escaped():
    nasty = dataclasses.replace(
        CPU_RECORD,
        command="fcnn-bench --data '<b>&'",
        dataset=dataclasses.replace(CPU_RECORD.dataset, label="<script>alert(1)</script>"),
    )
    page = _page([nasty])
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;&amp;" in page


def _page(records):
    from bench.report.page import page

    return page(records, plots(records))


@pytest.mark.slow
def test_partial_and_fallback_are_said_at_the_top():
    for records in ([PARTIAL_RECORD], [FALLBACK_RECORD]):
        page, text = _page(records), _markdown(records)
        assert page.index('class="warning"') < page.index('class="findings"')
        assert text.index("> **Note.** ") < text.index("- **Measured.**")
    assert 'class="warning"' not in _page([CPU_RECORD])


def test_the_flags_that_occur_are_explained():
    page = _page([flagged(CPU_RECORD, "step[cpu-b1-fp32]", Flag("moonphase", "the moon was full"))])
    assert "There was no warm-up, so first calls" in page
    assert "The moon was full." in page
    assert "The samples drifted" not in page


def test_every_flag_that_the_suite_raises_has_a_meaning():
    assert {*CHECKS, "wide", "unsteady", "bimodal", "drift", "impossible"} == set(FLAGS)


def test_highlights():
    assert [(one.value, one.what, one.detail) for one in highlights(GPU_RECORD)] == [
        ("312.8 µs", "a step of 64 images on the CPU", "95% interval 312.4 to 313.4"),
        ("405.0 µs", "a step of 64 images on the GPU", "95% interval 404.4 to 405.6"),
        ("302.0 ms", "an epoch on the CPU, tensors in host memory", "95% interval 301.2 to 303.0"),
        ("93.07%", "mean test accuracy on the GPU", "92.86 to 93.28%, 5 seeds"),
    ]
    two = dataclasses.replace(CPU_RECORD, measurements=[measured(case(), 1e-3, n=2)])
    assert highlights(two)[0].detail == "no interval"


@pytest.mark.slow
def test_plots_say_in_text_what_they_show():
    drawn = {plot.name: plot.svg for plot in plots([CPU_RECORD, GPU_RECORD])}
    for label in ("here cpu fp32", "elsewhere cuda fp32 reduce-overhead", "16,384", "10 ms"):
        assert f">{label}<" in drawn["steps"]
    for label in ("here · cpu · forward + backward", "391.0 µs"):
        assert f">{label}<" in drawn["parts"]
    assert ">elsewhere · cuda · device<" in drawn["epochs"]
    assert "> target 93%<" in drawn["accuracy"]
    assert "elsewhere 1 cuda bf16" in plots([CPU_RECORD, GPU_RECORD, FALLBACK_RECORD])[0].svg
    assert "2 threads" in plots([dataclasses.replace(CPU_RECORD, measurements=[
        dataclasses.replace(measured(case(threads=n), 4e-4), id=str(n)) for n in (1, 2)])])[0].svg  # fmt: skip


def test_flagged_bars_are_outlined_and_named():
    plain = {plot.name: plot.svg for plot in plots([CPU_RECORD])}
    marked = {plot.name: plot.svg for plot in plots([flagged(CPU_RECORD, "epoch[cpu-b64-fp32]")])}
    assert "(cold)" in marked["epochs"]
    assert "(cold)" not in plain["epochs"]


def test_parts_of_another_batch_are_drawn_where_64_is_missing():
    record = dataclasses.replace(
        CPU_RECORD, measurements=[measured(case(name, batch=1024), 1e-3) for name in ("forward", "step")]
    )
    assert [plot.name for plot in plots([record])] == ["steps", "parts"]
    assert plots([dataclasses.replace(CPU_RECORD, measurements=[])]) == []


SMALL_MARKDOWN = r"""# How fast does this small network train?

A fully connected network (784-50-10, ReLU) that learns to read handwritten digits in one epoch.

> **Note.** This run was interrupted. What it measured by then is complete and valid.

- **Measured.** 2 cases in 51.2 s on Some CPU, 2 cores, 2026-01-02, with MNIST (60,000 training and 10,000 test images). 1 of them is flagged: shown, but compared with nothing. 1 more planned case could not be measured; the tables say why.
- **Training step.** A step of 64 images in fp32 takes 391.0 µs (390.5 to 391.8) on the CPU, or 164,000 images a second.
- **Why.** A step of 64 images on the CPU takes 4.63 times its floor, the least that the arithmetic and the bytes allow here: most of the time goes to dispatch, the calling of operators (63 operator calls at 3.9 µs each: 62% of the time). What would help: a larger batch, a fused optimizer, or a compiled step: fewer and larger operator calls.
- **CPU or GPU.** No GPU was measured in this run: no CUDA GPU here (torch.cuda.is_available() is False). No GPU record from another machine stands beside it, so no GPU figures are shown.
- **Variants.** Against eager fp32 with plain Adam on the CPU, at batch 64: fp16 is not compared (flagged: cold).

## Training step

One step: move a batch, forward, backward, update.

![Time of a training step against batch size, both logarithmic](plots/steps.svg)

Both axes are logarithmic. Whiskers: 95% interval of the median, often smaller than the mark. Hollow marks are flagged. MNIST (60,000 training and 10,000 test images).

**Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images) · compile off, optimizer adam, feed resident, threads 2**

| Device   |   Batch | Precision   |   Median |   95% interval |   Images/s |   × eager fp32 CPU |   × floor | Bound        | Note                                                              |
|:---------|--------:|:------------|---------:|---------------:|-----------:|-------------------:|----------:|:-------------|:------------------------------------------------------------------|
| cpu      |      64 | fp32        | 391.0 µs | 390.5 to 391.8 |    164,000 |                  1 |      4.63 | dispatch 62% |                                                                   |
| cpu      |      64 | fp16        |   620 µs |     616 to 629 |    103,000 |                  - |      3.66 | dispatch 39% | flagged: cold                                                     |
| cuda     |      64 | fp32        |        - |              - |          - |                  - |         - | -            | impossible: no CUDA GPU here (torch.cuda.is_available() is False) |

## Why it takes that long

How far each time is above its floor, and what takes the most of it.

**Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images)**

| Case               |   Median |   × floor |   Of peak | Bound        | Evidence                                          | What would help                                                                        | Note          |
|:-------------------|---------:|----------:|----------:|:-------------|:--------------------------------------------------|:---------------------------------------------------------------------------------------|:--------------|
| step[cpu-b64-fp32] | 391.0 µs |      4.63 |       22% | dispatch 62% | 63 operator calls at 3.9 µs each: 62% of the time | a larger batch, a fused optimizer, or a compiled step: fewer and larger operator calls |               |
| step[cpu-b64-fp16] |   620 µs |      3.66 |       27% | dispatch 39% | 63 operator calls at 3.9 µs each: 39% of the time | a larger batch, a fused optimizer, or a compiled step: fewer and larger operator calls | flagged: cold |

## Where the time goes

The host's time by part; the device's busy time, which runs beside it, stands apart.

**Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images)**

| Case               |   To device |   Flatten |   zero_grad |   Forward |    Loss |   Backward |   Optimizer |    Rest |   Sum ÷ unmarked | Note          |
|:-------------------|------------:|----------:|------------:|----------:|--------:|-----------:|------------:|--------:|-----------------:|:--------------|
| step[cpu-b64-fp32] |     3.91 µs |   3.13 µs |     7.82 µs |   66.5 µs | 27.4 µs |     133 µs |      133 µs | 20.3 µs |             101% |               |
| step[cpu-b64-fp16] |     6.20 µs |   4.96 µs |     12.4 µs |    105 µs | 43.4 µs |     211 µs |      211 µs | 32.2 µs |             101% | flagged: cold |

## Exact counts

What one repetition does; of an epoch or a training, one step. The calls by name: tables/aten_calls.csv.

**Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images)**

| Case               |   ATen calls |      FLOPs |   Parameter bytes |   Gradient bytes |   Optimizer bytes |   Saved for backward |   Peak bytes |   Allocations |   Growth in 100 |   Host waits |   Copies |   Copied bytes |
|:-------------------|-------------:|-----------:|------------------:|-----------------:|------------------:|---------------------:|-------------:|--------------:|----------------:|-------------:|---------:|---------------:|
| step[cpu-b64-fp32] |           63 | 10,227,200 |           159,040 |          159,040 |           318,096 |              216,064 |      548,480 |            21 |               0 |            0 |        0 |              0 |
| step[cpu-b64-fp16] |           63 | 10,227,200 |           159,040 |          159,040 |           318,096 |              216,064 |      548,480 |            21 |               0 |            0 |        0 |              0 |

## Every number and its command

Statistics of the raw samples; seconds a repetition.

**Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images)**

| Case               |   Median |   95% interval |   Minimum |   95th pct. |   n |   Outliers |   Per sample |   First call |   Warm-up | Flags                                                    |
|:-------------------|---------:|---------------:|----------:|------------:|----:|-----------:|-------------:|-------------:|----------:|:---------------------------------------------------------|
| step[cpu-b64-fp32] | 391.0 µs | 390.5 to 391.8 |    387 µs |      393 µs |  40 |          0 |           15 |      7.82 ms |    120 ms |                                                          |
| step[cpu-b64-fp16] |   620 µs |     616 to 629 |    604 µs |      644 µs |  40 |          0 |           10 |      12.4 ms |    120 ms | cold: no warm-up: by far the first sample is the slowest |

```sh
# step[cpu-b64-fp32]
fcnn-bench run --workload step --device cpu --batch 64 --precision fp32 --compile off --optimizer adam --feed resident
# step[cpu-b64-fp16]
fcnn-bench run --workload step --device cpu --batch 64 --precision fp16 --compile off --optimizer adam --feed resident
```

## Not measured

Planned cases without a number, and why.

**Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images)**

| Case                | Kind       | Reason                                                |
|:--------------------|:-----------|:------------------------------------------------------|
| step[cuda-b64-fp32] | impossible | no CUDA GPU here (torch.cuda.is_available() is False) |

## How to read this

- **Median**: the middle of the samples. Half of them were faster, half slower.
- **95% interval**: a range that holds the true median in 95 of 100 such runs on this machine. Two times are called different only if the interval of their ratio excludes 1; otherwise there is no clear difference.
- **Sample**: one timed block of as many repetitions as fill 5 ms. All are kept; outliers are counted, never dropped.
- **× eager fp32 CPU**: how many times as fast as the same work on the CPU of the same machine, with 32-bit floats, without torch.compile, with plain Adam. Above 1 is faster.
- **× floor**: how many times the least time: that of the arithmetic at the peak rate measured with large matrix products, or of the bytes at the measured bandwidth, whichever is more. 1 is as fast as this machine can be.
- **Of peak**: the arithmetic's rate as a share of that peak.
- **Bound**: what takes the most of the time, and its share: waiting for data, transfer to the device, dispatch (calling operators), launch (starting kernels), compute or memory.
- **Sum ÷ unmarked**: parts are timed in blocks with marks, which alternate with blocks without; 100% means that the marks changed nothing and the parts are the whole.
- **Flag**: a named reason not to trust a number. It is shown, but takes part in no comparison.
- **-**: there is no number, which is not zero. The row says why.
- **Measure it again**: every number has its command, in the list at the end.

Flags in this report:

- **cold**: there was no warm-up, so first calls are among the samples

## Environment

**Some CPU, 2 cores, 2026-01-02 · commit 01234567 · `fcnn-bench`**

| Group    | Fact   | Value                                                                            |
|:---------|:-------|:---------------------------------------------------------------------------------|
| hardware | cpu    | A\|B                                                                             |
| energy   | cpu    | not measurable here: this system shows no energy counter of the processor (RAPL) |
"""
