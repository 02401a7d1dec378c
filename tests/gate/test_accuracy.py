import dataclasses
import json

import numpy as np
import pytest

from bench.errors import BenchError
from bench.gate.accuracy import AccuracyRule, Reference, judge, read_reference, seeds_needed
from tests.simulations import often, seldom, sizes

RULE = AccuracyRule()


def reference(seeds: int = 120, deviation: float = 0.0022) -> Reference:
    values = list(np.random.default_rng(0).normal(0.9308, deviation, seeds))
    return Reference("MNIST", "a" * 64, 1, list(range(seeds)), values, {"torch": "2.14.1"})


@sizes(500, 20_000)
def test_error_rates_are_those_stated(trials, record_property):
    rng, known = np.random.default_rng(1), reference()
    seeds = seeds_needed(known, RULE)

    def failed(mean: float) -> int:
        return sum(not judge(rng.normal(mean, known.deviation, seeds), known, RULE).passed for _ in range(trials))

    false, caught = failed(known.mean), failed(known.mean - RULE.drop)
    record_property("false", false)
    record_property("caught", caught)
    assert seldom(false, trials, RULE.fail_alpha)
    assert often(caught, trials, RULE.power)


def test_more_scatter_needs_more_seeds():
    assert 5 <= seeds_needed(reference(), RULE) <= 9
    assert seeds_needed(reference(deviation=0.004), RULE) > 20


def test_a_reference_that_scatters_too_much_for_its_seeds_is_refused():
    with pytest.raises(BenchError, match="too few to see such a drop"):
        seeds_needed(reference(deviation=0.02), RULE)


def test_too_good_to_be_true_fails():
    found = judge([0.95] * 8, reference(), RULE)
    assert not found.passed
    assert "too good to be true" in found.reason


def test_too_little_fails_and_says_the_numbers():
    found = judge([0.92] * 8, reference(), RULE)
    assert not found.passed
    assert found.reason.startswith("less accurate (92.00% over 8 seeds against 93.")


def test_no_seed_is_no_pass_and_nan_neither():
    assert not judge([], reference(), RULE).passed
    assert not judge([float("nan")] * 8, reference(), RULE).passed


def test_reference_files(tmp_path):
    known = reference()
    (tmp_path / "mnist.json").write_text(json.dumps(dataclasses.asdict(known)))
    assert read_reference("MNIST", "a" * 64, tmp_path) == known
    with pytest.raises(BenchError, match="of other images"):
        read_reference("MNIST", "b" * 64, tmp_path)
    with pytest.raises(BenchError, match="there is no reference distribution of accuracies on KMNIST"):
        read_reference("KMNIST", "a" * 64, tmp_path)
    (tmp_path / "mnist.json").write_text(json.dumps(dataclasses.asdict(reference(seeds=30))))
    with pytest.raises(BenchError, match="30 seeds, fewer than 100"):
        read_reference("MNIST", "a" * 64, tmp_path)
