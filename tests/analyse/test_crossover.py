import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from bench.analyse import crossover as module
from bench.analyse.crossover import Crossover
from bench.analyse.levels import Estimate, difference, over_processes
from tests.simulations import seldom

QUICK = [4**power for power in range(8)]  # the batch sizes of the quick plan
SUITE = [2**power for power in range(15)]
Curve = Callable[[float], float]


def affine(fixed: float, slope: float) -> Curve:
    return lambda batch: 1e-6 * (fixed + slope * batch)


def out_of_cache(batch: float) -> float:
    """A processor whose caches the batch outgrows at about 512."""
    return 1e-6 * (250 + 2 * batch * (1 + 0.5 / (1 + math.exp(-2 * (math.log2(batch) - 9)))))


def saturating(batch: float) -> float:
    return 260e-6 * (1 + batch / 120) ** 0.9


SHAPES: dict[str, tuple[Curve, Curve]] = {
    "early": (affine(250, 2), affine(400, 0.09)),
    "late": (affine(250, 2), affine(1400, 0.05)),
    "nearly parallel": (affine(250, 0.5), affine(300, 0.45)),
    "out of cache": (out_of_cache, affine(700, 0.1)),
    "saturating": (saturating, affine(400, 0.044)),
}


def exact(seconds: float, error: float = 1e-6) -> Estimate:
    """A time whose interval reaches so far to either side, as a fraction."""
    return Estimate(math.log(seconds), error / 2.36, 7, 8)


def curve(times: Curve, sizes=QUICK, error: float = 1e-6) -> dict[int, Estimate]:
    return {size: exact(times(size), error) for size in sizes}


def noisy(times: Curve, sizes, noise: float, rng: np.random.Generator) -> dict[int, Estimate]:
    """Eight processes at each size, with outliers upwards as they are on shared machines."""

    def estimate(seconds: float) -> Estimate:
        errors = noise * rng.standard_normal(8) + (rng.random(8) < 0.03) * rng.exponential(0.3, 8)
        return over_processes(list(math.log(seconds) + errors), lambda some: float(np.mean(some)))

    return {size: estimate(times(size)) for size in sizes}


def crossover(first: dict[int, Estimate], second: dict[int, Estimate]) -> Crossover | None:
    """Of two curves that were measured apart."""
    return module.crossover({size: difference(first[size], second[size]) for size in first.keys() & second.keys()})


def truth(first: Curve, second: Curve) -> float:
    return 2 ** float(brentq(lambda x: math.log(second(2**x) / first(2**x)), 0, 14))


def holds(found: Crossover | None, batch_size: float) -> bool:
    """Whether the interval does; an interval without an end reaches out of the range, `unclear` over all of it."""
    assert found is not None
    if found.batch_size is None:
        return found.faster == "unclear"
    return (found.low or 0) <= batch_size <= (found.high or math.inf)


FULL = itertools.product([QUICK, SUITE], [0.003, 0.01, 0.03, 0.1])
SIZES = [
    pytest.param(QUICK, 0.003, 30, marks=pytest.mark.slow, id="8-0.003-30"),  # here it is the interpolation that errs
    pytest.param(SUITE, 0.03, 30, marks=pytest.mark.slow, id="15-0.03-30"),
    *(
        pytest.param(sampled, noise, 1000, marks=pytest.mark.statistical, id=f"{len(sampled)}-{noise}-1000")
        for sampled, noise in FULL
    ),
]


@pytest.mark.parametrize(("sampled", "noise", "trials"), SIZES)
@pytest.mark.parametrize("shape", list(SHAPES))
def test_the_interval_holds_the_true_crossover(shape, sampled, noise, trials, record_property):
    first, second = SHAPES[shape]
    rng, batch_size = np.random.default_rng(7), truth(first, second)
    curves = ((noisy(first, sampled, noise, rng), noisy(second, sampled, noise, rng)) for _ in range(trials))
    missed = sum(not holds(crossover(*pair), batch_size) for pair in curves)
    record_property("missed", missed)
    assert seldom(missed, trials, 0.05)


@pytest.mark.parametrize("shape", list(SHAPES))
def test_the_estimate_is_near_the_truth_and_the_interval_is_of_use(shape):
    first, second = SHAPES[shape]
    found = crossover(curve(first, SUITE, 0.01), curve(second, SUITE, 0.01))
    assert found.batch_size == pytest.approx(truth(first, second), rel=0.05)
    assert found.low < found.batch_size < found.high
    assert found.high / found.low < 2


def test_more_noise_is_a_wider_interval():
    widths = []
    for error in (0.001, 0.01, 0.05):
        found = crossover(*(curve(times, QUICK, error) for times in SHAPES["early"]))
        widths.append(found.high / found.low)
    assert widths == sorted(widths)
    assert widths[-1] > 1.2 * widths[0]


def test_a_crossover_at_a_measured_batch_size_is_known_without_interpolation():
    found = crossover(curve(affine(64, 1)), curve(affine(128, 0)))
    assert (found.low, found.batch_size, found.high) == pytest.approx((64, 64, 64), rel=0.01)


def test_of_several_crossings_it_is_the_last():
    first = {1: 1.0, 4: 1.0, 16: 1.0, 64: 1.0, 256: 1.0}
    second = {1: 0.5, 4: 0.5, 16: 2.0, 64: 0.5, 256: 0.5}
    found = crossover(*({size: exact(times) for size, times in each.items()} for each in (first, second)))
    assert 16 < found.low <= found.batch_size <= found.high < 64


def test_one_that_is_faster_everywhere_leaves_no_crossover():
    slow, fast = curve(affine(500, 2)), curve(affine(100, 1))
    assert crossover(slow, fast) == Crossover(None, None, None, "second")
    assert crossover(fast, slow) == Crossover(None, None, None, "first")
    assert crossover(slow, fast).sentence("cpu", "cuda") == (
        "no crossover in the range: cuda is faster than cpu at every batch size measured"
    )
    assert crossover(fast, slow).sentence("cpu", "cuda") == (
        "no crossover in the range: cpu is faster than cuda at every batch size measured"
    )


def test_one_that_is_faster_at_small_batches_only_is_not_called_slower_at_every_one():
    first, second = (curve(times) for times in SHAPES["early"])
    found = crossover(second, first)  # the other way round
    assert found == Crossover(None, None, None, "not second")
    assert found.sentence("cuda", "cpu") == "no crossover in the range: cpu does not become faster than cuda"


def test_curves_that_are_the_same_are_too_close_to_tell():
    rng = np.random.default_rng(1)
    found = [
        crossover(*(noisy(affine(250, 2), QUICK, 0.02, rng) for _ in range(2))).sentence("cpu", "cuda")
        for _ in range(40)
    ]
    assert sum(words == "cpu and cuda are too close to tell where one becomes faster" for words in found) >= 33


def test_a_crossover_near_an_end_may_lie_beyond_it():
    beyond = crossover(curve(affine(20_000, 1), error=0.02), curve(affine(36_000, 0), error=0.02))
    assert beyond.batch_size == pytest.approx(16_000, rel=0.05)
    assert (beyond.low is None, beyond.high) == (False, None)
    assert beyond.sentence("cpu", "cuda").endswith("to above the largest)")
    below = crossover(curve(affine(100, 1), error=0.02), curve(affine(101.1, 0), error=0.02))
    assert (below.low, below.high is None) == (None, False)
    assert "(below the smallest to " in below.sentence("cpu", "cuda")


def test_the_sentence_gives_the_interval():
    assert Crossover(81.4, 74.6, 1088.2).sentence("cpu", "cuda") == (
        "cuda is faster than cpu from a batch of about 81 (75 to 1,088)"
    )


def test_what_is_measured_on_both_sides_counts_and_two_points_are_too_few():
    first, second = (curve(times) for times in SHAPES["early"])
    few = {size: second[size] for size in QUICK[:2]}
    assert crossover(first, few) is None
    without_interval = {size: Estimate(one.log, math.inf, 1.0, 1) for size, one in second.items()}
    assert crossover(first, without_interval) is None
    assert crossover(first, {**few, 256: second[256], 8: exact(1e-9)}) is not None  # 8 is not in the other
