import os
from types import SimpleNamespace

import pytest

from bench.measure import kernel
from bench.measure.kernel import KernelWatch, Meanwhile


def test_the_kernels_counts_are_watched(machine, monkeypatch):
    now = iter([100.0, 102.0])
    monkeypatch.setattr(kernel, "time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name], raising=False)
    watch = KernelWatch()
    machine.counts(stolen_ticks=150, swapped_in=8, swapped_out=2)
    assert watch.seen() == Meanwhile(stolen_cores=0.5, swapped_pages=7)


@pytest.mark.parametrize("broken", [lambda path: path.unlink(), lambda path: path.write_text("cpu 1 2\n")])
def test_counts_that_are_not_there_are_none(machine, broken):
    whole = KernelWatch()
    broken(machine.path("proc/stat"))
    broken(machine.path("proc/vmstat"))
    assert KernelWatch().seen() == whole.seen() == Meanwhile(None, None)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3,8", {0, 1, 2, 3, 8}), ("5", {5}), ("0,2,4-5", {0, 2, 4, 5}), ("", set())]
)
def test_lists_of_cpus_are_read_and_written_as_the_kernel_does(text, numbers):
    assert kernel.cpus(text) == numbers
    assert kernel.listed(numbers) == text
