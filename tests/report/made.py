"""Records, some of them few enough for their page to be read as a whole, and pages without what others draw."""

from __future__ import annotations

import dataclasses
import re

from tests.data.measurements import case, gap
from tests.data.records import CPU_RECORD, GPU_RECORD, only

_OURS = only(
    CPU_RECORD,
    "forward[cpu-b64-fp32]",
    "forward_backward[cpu-b64-fp32]",
    "step[cpu-b64-fp32]",
    "step[cpu-b64-fp16]",
    "step[cpu-b64-fp32-compile]",
    "step[cpu-b64-fp32-max-autotune]",
    "step[cuda-b1-fp32]",
    "step[cuda-b64-fp32]",
    "epoch[cpu-b64-fp32-loader]",
    "epoch[cpu-b64-fp32]",
    "accuracy[cpu-b64-fp32]",
    partial=True,
)
_STOPPED = gap(case("accuracy", precision="bf16"), "interrupted", "the run was stopped before its turn")
# Something of every kind: flagged, failed, impossible, interrupted, compiled, measured elsewhere, with energy.
SMALL = [
    dataclasses.replace(
        _OURS,
        unmeasured=[*_OURS.unmeasured, _STOPPED],
        environment={
            "hardware": {"cpu": "A|B <C>", "memory_bytes": 25_769_803_776},
            "software": {"torch_debug": False},
            "settings": {"cpu_quota_cores": None},
        },
    ),
    only(
        GPU_RECORD,
        "step[cpu-b64-fp32]",
        "step[cuda-b64-fp32]",
        "step[cuda-b16384-fp32]",
        "step[cuda-b64-fp32-max-autotune]",
        "epoch[cuda-b64-fp32]",
    ),
]
LARGE = [CPU_RECORD, GPU_RECORD]
STEP = only(CPU_RECORD, "step[cpu-b64-fp32]")


def without_drawings(page: str) -> str:
    """The page without its style sheet, a table's row on a line, and of plots what they say to those who see none."""
    page = re.sub(r"<tr.*?</tr>", lambda row: row[0].replace("\n", ""), page, flags=re.DOTALL)
    page = re.sub(r"<style>.*?</style>", "<style/>", page, flags=re.DOTALL)
    return re.sub(r'<svg[^>]*? (aria-label="[^"]*")[^>]*>.*?</svg>', r"<svg \1/>", page, flags=re.DOTALL)


def lines(rows: list[list[str]]) -> str:
    """A table as text, a line a row, its columns two blanks apart."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    padded = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in padded)
