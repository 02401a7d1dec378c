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
CPU or GPU     No GPU was measured in this run: no CUDA GPU here
               (torch.cuda.is_available() is False). No GPU record from another
               machine stands beside it, so no GPU figures are shown.
Variants       Against eager fp32 with plain Adam on the CPU, at batch 64: fp16
               is not compared (flagged: cold); fused Adam is faster, 1.422
               times (1.418 to 1.426).

Training step
Some CPU, 2 cores, 2026-01-02 · MNIST (60,000 training and 10,000 test images) ·
compile off, feed resident, threads 2
                                                          × eager
Device  Batch  Precision  Optimizer    Median  Images/s  fp32 CPU
cpu        64  fp32       adam       391.0 µs   164,000         1
cpu        64  fp16       adam         620 µs   103,000         -
cpu        64  fp32       fused      274.9 µs   233,000     1.422
step[cpu-b64-fp16] flagged: cold
step[cuda-b64-fp32] impossible: no CUDA GPU here (torch.cuda.is_available() is
False)

"""
