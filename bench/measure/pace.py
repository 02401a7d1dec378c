"""How fast the machine is at a moment, by two pieces of work that are always the same.

The cores of a virtual machine are threads of its host, which moves them. One minute they share a cache, the next they
do not: a single thread notices nothing of that, but whenever a team of threads hands work over, it takes twice as long.
On two cores of an EPYC (Zen 4) 2.2 µs or 3.9 to 4.4, and with it a step of 64 images 525 µs or 705 to 850, for seconds
to minutes at a time.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from bench.measure.clock import Clock

CALLS = 3_000  # a tenth of a millisecond
GRAIN = 32_768  # elements of a tensor that torch gives to a thread at least (at::internal::GRAIN_SIZE)
CORE_BLOCKS = 4
TEAM_BLOCKS, HANDOVERS = 16, 4


@dataclass(frozen=True)
class Pace:
    """What the pieces took, in seconds: one of Python on a core, and the least that a team of threads can do together.

    `team_seconds` is None for a single thread.
    """

    core_seconds: float
    team_seconds: float | None


def measure(clock: Clock) -> Pace:
    """The fastest of a few of each, with torch's present number of threads.

    The team comes first: the other threads then wait for more to do as they do within a step, by which a core is
    slower if it shares its execution units (45 and 50 µs have been seen).
    """
    threads, team = torch.get_num_threads(), None
    if threads > 1:
        share = torch.zeros(threads * GRAIN)
        share.neg_()  # its pages are touched first
        blocks = [clock.time_block(share.neg_, HANDOVERS).host_seconds for _ in range(TEAM_BLOCKS)]
        team = min(blocks) / HANDOVERS
    return Pace(min(clock.time_block(_call, 1).host_seconds for _ in range(CORE_BLOCKS)), team)


def _call() -> None:
    # Makes no objects: how long that takes depends on what the process has made and thrown away before.
    for _ in itertools.repeat(None, CALLS):
        len("")
