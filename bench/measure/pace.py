"""How fast the machine is at a moment, by two pieces of work that are always the same.

The cores of a virtual machine are threads of its host, which moves them. One minute they share a cache, the next they
do not: a single thread notices nothing of that, but whenever a team of threads hands work over, it takes twice as long.
On two cores of an EPYC (Zen 4) 2.2 µs or 3.9 to 4.4, and with it a step of 64 images 525 µs or 705 to 850, for seconds
to minutes at a time.
"""

from __future__ import annotations

import itertools

import torch

from bench.measure.clock import Clock

CALLS = 3_000  # a tenth of a millisecond
GRAIN = 32_768  # elements of a tensor that torch gives to a thread at least (at::internal::GRAIN_SIZE)
CORE_BLOCKS = 4
TEAM_BLOCKS, HANDOVERS = 16, 4


def core_seconds(clock: Clock) -> float:
    """What a fixed piece of Python takes one core: the fastest of a few."""
    return min(clock.time_block(_call, 1).host_seconds for _ in range(CORE_BLOCKS))


def team_seconds(clock: Clock) -> float | None:
    """What it takes torch's threads to do next to nothing together: the fastest of a few; None for a single thread."""
    if (threads := torch.get_num_threads()) < 2:
        return None
    share = torch.zeros(threads * GRAIN)
    share.neg_()  # its pages are touched first
    return min(clock.time_block(share.neg_, HANDOVERS).host_seconds for _ in range(TEAM_BLOCKS)) / HANDOVERS


def _call() -> None:
    # Makes no objects: how long that takes depends on what the process has made and thrown away before.
    for _ in itertools.repeat(None, CALLS):
        len("")
