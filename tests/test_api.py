"""The public Python calls."""

import pytest

from bench.api import compare, measure


def test_a_callable_is_measured():
    found = measure(lambda: sum(range(1000)), seconds=0.01)
    assert found.summary.time > 0


def test_two_callables_are_compared():
    found = compare(lambda: sum(range(10)), lambda: sum(range(100_000)), seconds=0.01)
    assert found.ratio.value > 10


@pytest.mark.parametrize("device", ["tpu", "xpu"])
def test_a_device_that_is_not_here_is_refused_with_its_reason(device):
    with pytest.raises(ValueError, match=device):
        compare(lambda: None, lambda: None, device=device)
