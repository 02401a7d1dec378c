"""How fast the machine is at a moment, by two pieces of work that are always the same.

The cores of a virtual machine are threads of its host, which moves them. One minute they share a cache, the next they
do not: a single thread notices nothing of that, but whenever a team of threads hands work over, it takes twice as long.
On two cores of an EPYC (Zen 4) 2.2 µs or 3.9 to 4.4, and with it a step of 64 images 525 µs or 705 to 850, for seconds
to minutes at a time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from bench.measure.clock import Clock

CALLS = 25  # of three operators each: a tenth of a millisecond
GRAIN = 32_768  # elements of a tensor that torch gives to a thread at least (at::internal::GRAIN_SIZE)
CORE_BLOCKS = 4
TEAM_BLOCKS, HANDOVERS = 16, 4


@dataclass(frozen=True)
class Pace:
    """What the pieces took, in seconds.

    Attributes:
        core_seconds: A few calls of operators on next to nothing, on one core.
        team_seconds: The least that a team of threads can do together; None for a single thread.
    """

    core_seconds: float
    team_seconds: float | None


def measure(clock: Clock) -> Pace:
    """The fastest of a few of each, with torch's present number of threads.

    The team comes first: the other threads then wait for more to do, as they do within a step.
    """
    threads, team = torch.get_num_threads(), None
    if threads > 1:
        share = torch.zeros(threads * GRAIN)
        share.neg_()  # its pages are touched first
        blocks = [clock.time_block(share.neg_, HANDOVERS).host_seconds for _ in range(TEAM_BLOCKS)]
        team = min(blocks) / HANDOVERS
    numbers = torch.zeros(8)
    calls = functools.partial(_call, numbers)
    calls()
    return Pace(min(clock.time_block(calls, 1).host_seconds for _ in range(CORE_BLOCKS)), team)


def _call(numbers: torch.Tensor) -> None:
    # Of operators, as in a step, and not of Python alone: a loop of 3,000 `len("")` took 45, 47.5, 50 or 56 µs, the
    # same all along within a process and another in the next, where these calls took 147 and moved by 0.6%.
    for _ in range(CALLS):
        numbers.add_(1.0)
        numbers.view(2, 4)
        numbers.mul_(0.5)
