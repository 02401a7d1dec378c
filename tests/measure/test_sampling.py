import itertools

import numpy as np
import pytest

from bench.measure.sampling import SamplingRule, measure
from tests.measure.simulated import SimulatedTime


def noisy(median: float, spread: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    while True:
        yield from median * (1 + spread * rng.standard_normal(1000))


def run(durations, rule: SamplingRule = SamplingRule()):
    time = SimulatedTime()
    return measure(time.repeat_taking(iter(durations)), time.clock(), rule), time


def names(samples) -> list[str]:
    return [flag.name for flag in samples.flags]


def test_steady_noise_gives_the_median_with_no_flag():
    samples, _ = run(noisy(1e-3, 0.02))
    assert samples.summary.median == pytest.approx(1e-3, rel=0.01)
    assert names(samples) == []


def test_every_sample_is_kept_and_is_seconds_a_repetition():
    samples, time = run(itertools.repeat(1e-3))
    assert set(np.round(samples.seconds, 9)) == {1e-3}
    before = time.calls - len(samples.seconds) * samples.block_repetitions
    assert before >= 1 + samples.warmup_blocks * samples.block_repetitions


@pytest.mark.parametrize(("step_seconds", "least"), [(1e-6, 5000), (1e-4, 50), (1e-3, 5), (0.02, 1)])
def test_a_block_takes_at_least_five_milliseconds(step_seconds, least):
    samples, _ = run(itertools.repeat(step_seconds))
    assert least <= samples.block_repetitions <= max(1, 2 * least)


def test_a_slow_first_call_is_told_apart():
    samples, _ = run(itertools.chain([7.0], noisy(1e-3, 0.01)))
    assert samples.first_call_seconds == 7.0
    assert samples.warmup_seconds > 7.0
    assert max(samples.seconds) < 0.1


def test_warm_up_lasts_until_the_trend_ends():
    cooling = (1e-3 * (1 + 2 * 0.9 ** (call / 20)) for call in itertools.count())
    samples, _ = run(cooling)
    assert samples.summary.median == pytest.approx(1e-3, rel=0.01)
    assert samples.warmup_blocks > 2 * SamplingRule().warmup_window


def test_a_trend_that_never_ends_is_flagged():
    samples, _ = run(1e-3 * (1 + call / 2000) for call in itertools.count())
    assert "unsteady" in names(samples)


def test_samples_must_please_at_two_looks_in_a_row():
    """A rule that stops at the first good look stops at the luckiest moment."""
    samples, _ = run(itertools.repeat(1e-3))
    assert len(samples.seconds) == 40  # it looks at 32 and at a quarter more


def test_noise_that_the_budget_cannot_average_out_is_flagged_wide():
    samples, _time = run(noisy(0.05, 0.3), SamplingRule(budget_seconds=1.0, warmup_seconds=0.1))
    assert names(samples) == ["wide"]
    assert "the 95% interval is +-" in samples.flags[0].reason


def test_the_budget_ends_sampling_but_never_below_the_minimum():
    samples, _ = run(itertools.repeat(10.0), SamplingRule(budget_seconds=1.0, minimum_samples=6))
    assert len(samples.seconds) == 6


def test_device_time_is_kept_beside_host_time():
    time = SimulatedTime()

    class Event:
        def record(self) -> None:
            self.at = time.seconds

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, end: "Event") -> float:
            return (end.at - self.at) * 1e3 / 2  # the device is busy half of the time

    samples = measure(time.repeat_taking(itertools.repeat(1e-3)), time.clock(timing_event=Event))
    assert samples.device_seconds is not None
    assert np.allclose(np.array(samples.device_seconds) * 2, samples.seconds)


def test_what_the_repetition_raises_comes_through():
    def broken() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        measure(broken)
