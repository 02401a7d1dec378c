"""The rung that leaves Python: an epoch in C, compiled when it is first needed."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.ladder.program import BETAS, CPU, EPSILON, LEARNING_RATE, Program, order, parameters
from fcnn.data import Images

SOURCE = Path(__file__).with_name("epoch.c")
PIXELS, HIDDEN, CLASSES = 784, 50, 10
# Rows of the C code's matrices, padded to whole vectors of 8.
HIDDEN_ROW, CLASSES_ROW = 56, 16
SIZES = (PIXELS * HIDDEN_ROW, HIDDEN_ROW, HIDDEN_ROW * CLASSES_ROW, CLASSES_ROW)
FLAGS = ("-std=c11", "-O3", "-march=native", "-ffast-math", "-pthread", "-shared", "-fPIC")


def compiler() -> str | None:
    """The C compiler: `CC`, else `cc`."""
    return shutil.which(os.environ.get("CC", "cc"))


def why_not() -> str | None:
    """Why there is no epoch in C here."""
    return None if compiler() else "no C compiler here (cc)"


@functools.cache
def _library() -> Any:
    with tempfile.TemporaryDirectory(prefix="fcnn-bench-") as folder:
        built = Path(folder) / "epoch.so"
        words = [str(compiler()), *FLAGS, "-o", str(built), str(SOURCE), "-lm"]
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"{compiler()} failed: {(run.stderr.strip().splitlines() or ['no message'])[0]}")
        return ctypes.CDLL(str(built))


def _aligned(count: int) -> Tensor:
    """So many zeros, beginning at a whole vector."""
    wider = torch.zeros(count + 8)
    return wider[(-wider.data_ptr() // 4) % 8 :][:count]


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def one_function(images: Images, seed: int, device: torch.device = CPU) -> Program:
    """The whole epoch is one function in C that skips black pixels: four fifths of all, and they add nothing."""
    library = _library()
    start, place, value = _lit_pixels(images)
    labels = images.train.targets
    weights, first, second = (_aligned(sum(SIZES)) for _ in range(3))
    w1, b1, w2, b2 = weights.split(SIZES)
    w1, w2 = w1.view(PIXELS, HIDDEN_ROW), w2.view(HIDDEN_ROW, CLASSES_ROW)
    # The transposed matrices, so that what a pixel or a hidden unit leads to lies in one row.
    views = [w1[:, :HIDDEN].t(), b1[:HIDDEN], w2[:HIDDEN, :CLASSES].t(), b2[:CLASSES]]
    for view, begin in zip(views, parameters(seed), strict=True):
        view.copy_(begin)
    steps, generator = torch.zeros(1, dtype=torch.int64), torch.Generator().manual_seed(seed)
    rates = [ctypes.c_float(value) for value in (LEARNING_RATE, *BETAS, EPSILON)]

    def epoch() -> None:
        shuffled = order(len(labels), generator)
        failed = library.train_epoch(
            *map(_address, (start, place, value, labels, shuffled)), ctypes.c_long(len(labels)),
            *map(_address, (weights, first, second, steps)), *rates, ctypes.c_int(torch.get_num_threads()),
        )  # fmt: skip
        if failed:
            raise RuntimeError(f"there could not be {torch.get_num_threads()} threads")

    return Program(epoch, lambda: views)


@functools.lru_cache(maxsize=1)
def _lit_pixels(images: Images) -> tuple[Tensor, Tensor, Tensor]:
    """Where each image's list begins [n + 1], and the places and values of all pixels that are not black."""
    pixels = images.train.data.contiguous()
    count = len(pixels)
    start = torch.empty(count + 1, dtype=torch.int64)
    # Room for all pixels; what is not written to is never memory.
    place, value = (torch.empty(count * PIXELS + 1, dtype=dtype) for dtype in (torch.int16, torch.uint8))
    _library().light_up(_address(pixels), ctypes.c_long(count), *map(_address, (start, place, value)))
    return start, place, value
