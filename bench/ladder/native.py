"""The ladder step that leaves Python: an epoch in C, compiled when it is first needed."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from bench.errors import reason_in
from bench.ladder.program import BETAS, CPU, EPSILON, LEARNING_RATE, FreshTraining, order, parameters, steps_of
from bench.record import files
from fcnn.data import Images

SOURCE = Path(__file__).with_name("epoch.c")
PIXELS, HIDDEN, CLASSES = 784, 50, 10
# Rows of the C code's matrices, padded to whole vectors of 8.
HIDDEN_ROW, CLASSES_ROW = 56, 16
SIZES = (PIXELS * HIDDEN_ROW, HIDDEN_ROW, HIDDEN_ROW * CLASSES_ROW, CLASSES_ROW)
FLAGS = ("-std=c11", "-O3", "-march=native", "-ffast-math", "-pthread", "-shared", "-fPIC")


COMPILER_LIMIT_SECONDS = 120.0  # it takes 2 s here


def compiler() -> list[str]:
    """The words that run the C compiler: those of `CC`, as a shell splits them, else `cc`.

    Raises:
        ValueError: `CC` has a quote that is not closed.
    """
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def why_not() -> str | None:
    """Why there is no epoch in C here."""
    try:
        name = compiler()[0]
    except ValueError as error:
        return f"CC={os.environ['CC']} is no command: {error}"
    return None if shutil.which(name) else f"there is no C compiler {name}: install one, or name another in CC"


@functools.cache
def _library() -> Any:
    with files.scratch() as folder:
        built = folder / "epoch.so"
        _compile(built, folder / "log")
        return ctypes.CDLL(str(built))


def _compile(built: Path, log: Path) -> None:
    """Compiles the library `built`; what the compiler says goes to the file `log`.

    Raises:
        RuntimeError: It failed, with its own error, or had not ended after `COMPILER_LIMIT_SECONDS`.
    """
    command, words = shlex.join(compiler()), [*compiler(), *FLAGS, "-o", str(built), str(SOURCE), "-lm"]
    # A file and no pipe, which programs that the compiler has started could keep open when it is killed.
    with log.open("wb") as output:
        process = psutil.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"}
        )
        try:
            code = process.wait(COMPILER_LIMIT_SECONDS)
        except psutil.TimeoutExpired:
            _kill(process)
            raise RuntimeError(f"{command} had not ended after {COMPILER_LIMIT_SECONDS:.0f} s and was killed") from None
    if code != 0:
        reason = reason_in(log.read_text("utf-8", "replace")) or f"exit code {code}, and it said nothing"
        raise RuntimeError(f"{command} failed: {reason}")


def _kill(process: psutil.Process) -> None:
    """Ends the process and what it has started: `cc` leaves the work to others."""
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def _aligned(count: int) -> Tensor:
    """So many zeros, beginning at a whole vector."""
    wider = torch.zeros(count + 8)
    return wider[(-wider.data_ptr() // 4) % 8 :][:count]


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def one_function(images: Images, seed: int, device: torch.device = CPU) -> FreshTraining:
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
    steps, total = torch.zeros(1, dtype=torch.int64), torch.zeros(1)
    generator = torch.Generator().manual_seed(seed)
    rates = [ctypes.c_float(value) for value in (LEARNING_RATE, *BETAS, EPSILON)]

    def epoch() -> float:
        shuffled = order(len(labels), generator)
        failed = library.train_epoch(
            *map(_address, (start, place, value, labels, shuffled)), ctypes.c_long(len(labels)),
            *map(_address, (weights, first, second, steps, total)), *rates, ctypes.c_int(torch.get_num_threads()),
        )  # fmt: skip
        if failed:
            raise RuntimeError(f"there could not be {torch.get_num_threads()} threads")
        return total.item() / steps_of(len(labels))

    return FreshTraining(epoch, lambda: views)


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
