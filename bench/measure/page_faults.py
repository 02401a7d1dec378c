"""Page faults: a process touches memory that it has been promised, and the system has to give it.

A step that frees its activations may give that memory back to the system, which takes as many faults to have again at
the next step. Whether it does depends on where it lies on the heap, and so differs from process to process: those of a
convolutional step of 64 images had 78 to 840 faults a step and took 3.8 to 7.8 ms, and with `KEEP_MEMORY` none, and 2.7
to 4.5 ms.
"""

from __future__ import annotations

import mmap
import time

try:
    import resource
except ModuleNotFoundError:  # on Windows
    resource = None  # type: ignore[assignment]

# Environment variables by which glibc keeps what is freed. Not more than 32 MiB for a mapping of its own, the most that
# it takes.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
SAMPLE_BYTES = 4 * 2**20


def taken() -> int | None:
    """How many this process has had without a disk; None where the system does not say."""
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def seconds_each() -> float:
    """What one takes here, where `taken` is known: of fresh memory that is touched once a page."""
    with mmap.mmap(-1, SAMPLE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        begin = time.perf_counter()
        for at in range(0, SAMPLE_BYTES, mmap.PAGESIZE):
            memory[at] = 1
        touched = time.perf_counter() - begin
        begin = time.perf_counter()
        for at in range(0, SAMPLE_BYTES, mmap.PAGESIZE):
            memory[at] = 1
        return max(0.0, touched - (time.perf_counter() - begin)) * mmap.PAGESIZE / SAMPLE_BYTES
