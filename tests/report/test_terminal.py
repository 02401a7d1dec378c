import io

from rich.console import Console

from bench.report.terminal import show
from tests.data.records import CPU_RECORD, FALLBACK_RECORD, GPU_RECORD, only


def printed(record, *elsewhere, width=80):
    out = io.StringIO()
    show(record, Console(file=out, width=width), elsewhere)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_whole_of_a_small_record():
    record = only(CPU_RECORD, "step[cpu-b64-fp32]", "step[cpu-b64-fp32-fused]", "step[cpu-b64-fp16]",
                  "step[cuda-b64-fp32]")  # fmt: skip
    assert printed(record) == WHOLE.splitlines()


def test_nothing_is_cut_off_in_80_columns():
    for record in (CPU_RECORD, GPU_RECORD):
        lines = printed(record, width=80)
        assert not [line for line in lines if "…" in line]
        assert max(map(len, lines)) <= 80


def columns(record, width):
    lines = printed(record, width=width)
    start = lines.index("Training step") + 1
    head = next(n for n, line in enumerate(lines[start:], start) if line.startswith("Device"))
    return lines[head].split(), lines[head + 1].split()


def test_the_least_useful_columns_go_first_where_a_table_is_too_wide():
    assert columns(GPU_RECORD, 120)[0][-6:] == ["Median", "Images/s", "fp32", "CPU", "×", "floor", "Bound"][-6:]
    heads, row = columns(GPU_RECORD, 80)
    assert "Images/s" not in heads
    assert row[-2:] == ["9.18", "dispatch"]
    assert columns(CPU_RECORD, 80)[1][-2:] == ["dispatch", "95%"]
    assert columns(GPU_RECORD, 60)[0][-1] == "Median"


def test_warnings_come_first_and_elsewhere_is_spoken_of():
    lines = printed(FALLBACK_RECORD, GPU_RECORD)
    assert lines[0].startswith("Not the full dataset: no MNIST under /data")
    assert "elsewhere: Synthetic GPU" in " ".join(" ".join(lines).split())


WHOLE = """\
Measured       3 cases in 51.2 s on Some CPU, 2 cores, 2026-01-02, with MNIST
               (60,000 training and 10,000 test images). 1 of them is flagged:
               shown, but compared with nothing. 1 more planned case could not
               be measured; the tables say why.
Training step  A step of 64 images in fp32 takes 391.0 µs (390.5 to 391.8) on
               the CPU, or 164,000 images a second.
Why            A step of 64 images on the CPU takes 4.63 times its floor, the
               least that the arithmetic and the bytes allow here: most of the
               time goes to dispatch, the calling of operators (63 operator
               calls at 3.9 µs each: 62% of the time). What would help: a larger
               batch, a fused optimizer, or a compiled step: fewer and larger
               operator calls.
CPU or GPU     No GPU was measured in this run: no CUDA GPU here
               (torch.cuda.is_available() is False). No GPU record from another
               machine stands beside it, so no GPU figures are shown.
Variants       Against eager fp32 with plain Adam on the CPU, at batch 64: fp16
               is not compared (flagged: cold); fused Adam is faster, 1.422
               times (1.418 to 1.426). The CPU does not tell whether it has fp16
               instructions.

Training step
Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images) ·
compile off, feed resident, threads 2
             Preci- Opti-                    × eager
Device Batch sion   mizer   Median Images/s fp32 CPU × floor Bound
cpu       64 fp32   adam  391.0 µs  164,000        1    4.63 dispatch 62%
cpu       64 fp16   adam    620 µs  103,000        -    3.66 dispatch 39%
cpu       64 fp32   fused 274.9 µs  233,000    1.422    3.26 dispatch 48%
step[cpu-b64-fp16] flagged: cold
step[cuda-b64-fp32] impossible: no CUDA GPU here (torch.cuda.is_available() is
False)

"""
