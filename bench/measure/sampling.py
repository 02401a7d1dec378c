"""Timing rules, version 1: from a callable to raw samples. `measure` is the public call.

from bench.measure.sampling import measure
samples = measure(my_step)
print(samples.seconds, samples.summary.median, samples.flags)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import scipy.stats

from bench.analyse.statistics import Summary, summarise
from bench.analyse.steadiness import modes, trend
from bench.measure.clock import Block, Clock, garbage_collector_off
from bench.record.measurement import Flag

# The stop rule looks first here and again at 40: autocorrelation shows in 40 samples, and hardly in 20.
FIRST_LOOK = 32


@dataclass(frozen=True, kw_only=True)
class SamplingRule:
    """When a block is long enough, when the warm-up ends, when there are samples enough.

    Attributes:
        block_seconds: A block has as many repetitions as take at least this long.
        target_fraction: Stop when the median's 95% interval is within plus or minus this.
        budget_seconds: Most time to spend on samples, twice that on unsteady ones; `wide` is flagged if it ends before
            the target is met.
        minimum_samples: Taken whatever the budget; 6 is the fewest whose ranks give a 95% interval of the median.
        warmup_seconds: Most time to spend waiting for blocks to stop trending; then flag `unsteady`.
        warmup_window: Blocks in each of the two windows compared to see a trend.
    """

    block_seconds: float = 0.005
    target_fraction: float = 0.01
    budget_seconds: float = 1.0
    minimum_samples: int = 6
    warmup_seconds: float = 1.0
    warmup_window: int = 8


@dataclass(frozen=True)
class Samples:
    """What was measured of one callable.

    Attributes:
        seconds: Host wall time per repetition, an entry per block, in the order taken. All of them.
        device_seconds: The same blocks by device events; None where the device has none.
        block_repetitions: Repetitions in each block.
        first_call_seconds: The very first repetition, or the piece that stood in: lazy initialisation, compilation.
        warmup_seconds: From the start to the first sample, the first call included.
        warmup_blocks: Blocks run to see the trend end.
        flags: Reasons not to trust the number: `wide`, `unsteady`, `bimodal`.
    """

    seconds: list[float]
    device_seconds: list[float] | None
    block_repetitions: int
    first_call_seconds: float
    warmup_seconds: float
    warmup_blocks: int
    flags: list[Flag] = field(default_factory=list)

    def __repr__(self) -> str:
        names = ", ".join(flag.name for flag in self.flags) or "none"
        return f"Samples({len(self.seconds)} blocks, summary={self.summary}, flags: {names})"

    @property
    def summary(self) -> Summary:
        """Median, interval, minimum, 95th percentile, n and outliers of `seconds`."""
        return summarise(self.seconds)


def measure(
    repeat: Callable[[], object],
    clock: Clock = Clock(),  # noqa: B008 - frozen
    rule: SamplingRule = SamplingRule(),
    when_warm: Callable[[], object] = lambda: None,
    first: Callable[[], object] | None = None,
) -> Samples:
    """Times `repeat` by the timing rules.

    Args:
        repeat: One repetition; called with no arguments, its result ignored. It may queue work on `clock.device`.
        clock: The device to wait for and the time source.
        rule: Block length, stop rule and budgets.
        when_warm: Called once, between the warm-up and the first sample.
        first: Called first in place of `repeat`: a short piece of it, where it takes seconds.

    Returns:
        Raw samples in seconds per repetition, with flags naming what stands against trusting them.

    Raises:
        Whatever `repeat` raises.
    """
    begin = clock.now()
    with garbage_collector_off():
        first_call = clock.time_block(first or repeat, 1).host_seconds
        repetitions, block = _block_repetitions(repeat, clock, rule)
        if 2 * rule.warmup_window * block.host_seconds <= rule.warmup_seconds:
            kept, (warm, flags) = [], _warm_up(repeat, clock, rule, repetitions)
        else:
            # The first call was the warm-up of a repetition this long, and the second is as good as any later one.
            kept, warm, flags = [block], 0, []
        warmup_seconds = clock.now() - begin - sum(block.host_seconds for block in kept)
        when_warm()
        blocks = _sample(repeat, clock, rule, repetitions, kept)
    seconds = [block.host_seconds / repetitions for block in blocks]
    device = [block.device_seconds / repetitions for block in blocks if block.device_seconds is not None]
    return Samples(
        seconds=seconds,
        device_seconds=device or None,
        block_repetitions=repetitions,
        first_call_seconds=first_call,
        warmup_seconds=warmup_seconds,
        warmup_blocks=warm,
        flags=flags + sample_flags(seconds, rule),
    )


def _block_repetitions(repeat: Callable[[], object], clock: Clock, rule: SamplingRule) -> tuple[int, Block]:
    """Repetitions that fill a block, with the block that showed it."""
    repetitions = 1
    while True:
        block = clock.time_block(repeat, repetitions)
        if block.host_seconds >= rule.block_seconds:
            return repetitions, block
        # A fifth more than needed, since later blocks are faster; at most tenfold, since the first is the slowest.
        wanted = repetitions * 1.2 * rule.block_seconds / max(block.host_seconds, 1e-9)
        repetitions = max(repetitions + 1, min(math.ceil(wanted), 10 * repetitions))


def _warm_up(
    repeat: Callable[[], object], clock: Clock, rule: SamplingRule, repetitions: int
) -> tuple[int, list[Flag]]:
    """Runs blocks until two neighbouring windows of them no longer differ; (blocks run, flags).

    The windows are compared by the Mann-Whitney test on the 5% level: it does not mind outliers.
    """
    window = rule.warmup_window
    begin = clock.now()
    blocks: list[float] = []
    while clock.now() - begin < rule.warmup_seconds:
        blocks.append(clock.time_block(repeat, repetitions).host_seconds)
        if len(blocks) >= 2 * window and len(blocks) % window == 0:
            before, after = blocks[-2 * window : -window], blocks[-window:]
            if scipy.stats.mannwhitneyu(before, after).pvalue > 0.05:
                return len(blocks), []
    reason = f"blocks were still trending after {rule.warmup_seconds:g} s of warm-up"
    return len(blocks), [Flag("unsteady", reason)]


def _sample(
    repeat: Callable[[], object], clock: Clock, rule: SamplingRule, repetitions: int, blocks: list[Block]
) -> list[Block]:
    """More blocks after `blocks`, until the interval is narrow enough or the budget is spent.

    The samples are looked at after a number of blocks that grows by a quarter, not after each, and must please twice in
    a row: a rule that peeks at every sample stops at the luckiest moment, and its intervals are too narrow. Samples
    that trend or lie on two levels do not please; where the budget ends with such, a second one is spent, once, since a
    shared machine is often back to normal a second later.
    """
    begin, deadline = clock.now(), rule.budget_seconds
    next_look = max(rule.minimum_samples, FIRST_LOOK)
    pleased = False
    while True:
        blocks.append(clock.time_block(repeat, repetitions))
        out_of_time = clock.now() - begin >= deadline and len(blocks) >= rule.minimum_samples
        if len(blocks) < next_look and not out_of_time:
            continue
        objections = {flag.name for flag in _objections(blocks, rule)}
        if not objections and pleased:
            return blocks
        if out_of_time and (objections <= {"wide"} or deadline > rule.budget_seconds):
            return blocks
        if out_of_time:
            deadline = 2 * rule.budget_seconds
        pleased = not objections
        next_look = math.ceil(len(blocks) * 1.25)


def _objections(blocks: list[Block], rule: SamplingRule) -> list[Flag]:
    return sample_flags([block.host_seconds for block in blocks], rule)


def sample_flags(seconds: list[float], rule: SamplingRule) -> list[Flag]:
    """What the samples themselves say against being trusted: `wide`, `unsteady`, `bimodal`."""
    flags = []
    width = summarise(seconds).half_width_fraction
    if width is None:
        flags.append(Flag("wide", f"{len(seconds)} samples are too few or too alike in time for a 95% interval"))
    elif width > rule.target_fraction:
        flags.append(Flag("wide", f"the 95% interval is +-{width:.1%}, the rule asks for +-{rule.target_fraction:.0%}"))
    # Samples that move by twice the target stay within it around their median.
    if (drift := trend(seconds)) and abs(drift.change_fraction) > 2 * rule.target_fraction:
        direction = "slower" if drift.change_fraction > 0 else "faster"
        flags.append(Flag("unsteady", f"samples got {abs(drift.change_fraction):.1%} {direction} while measuring"))
    if (levels := modes(seconds)) and levels.distance_fraction > 2 * rule.target_fraction:
        reason = f"{levels.upper_share:.0%} of the samples are on a second level, {levels.distance_fraction:.1%} slower"
        flags.append(Flag("bimodal", reason))
    return flags
