import pytest

from bench.analyse.statistics import Ratio, summarise
from bench.report import units


def summary(median, half):
    return summarise([median - half] * 3 + [median] + [median + half] * 3)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (3.14e-8, "31.4 ns"),
        (485e-6, "485 µs"),
        (2.73e-3, "2.73 ms"),
        (0.0123, "12.3 ms"),
        (2.544, "2.54 s"),
        (51.23, "51.2 s"),
        (119.6, "120 s"),
        (200, "3 min 20 s"),
        (7260, "121 min 0 s"),
    ],
)
def test_duration(seconds, shown):
    assert units.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "low", "high", "digits"),
    [
        (485.0, 482.0, 488.0, 0),
        (485.0, 484.7, 485.3, 1),
        (485.0, 484.99, 485.01, 1),  # never more than 4 significant digits
        (485.0, 300.0, 700.0, 0),
        (1.8, 1.72, 1.89, 2),
        (1.8, 1.2, 2.6, 1),
        (21.8, 21.7, 21.9, 1),
        (0.61, 0.608, 0.612, 3),
        (5.0, 5.0, 5.0, 3),
        (485.0, None, None, 0),
        (4.85, None, None, 2),
    ],
)
def test_digits_follow_the_interval(value, low, high, digits):
    assert units.decimals(value, low, high) == digits


def test_median_and_interval_share_unit_and_digits():
    few = summarise([391e-6, 392e-6])
    assert units.seconds(391.04e-6, 390.5e-6, 391.8e-6) == "391.0 µs (390.5 to 391.8)"
    assert units.seconds(0.9996e-3, 0.98e-3, 1.02e-3) == "1,000 µs (980 to 1,020)"
    assert units.time(few) == "392 µs"
    assert units.interval(few) == "-"
    assert units.measured(few) == "392 µs (too few samples for an interval)"
    assert units.measured(summary(2.5, 0.1)) == "2.5 s (2.4 to 2.6)"


@pytest.mark.parametrize(
    ("ratio", "cell", "sentence"),
    [
        (Ratio(1.8, 1.72, 1.89), "1.80 (1.72 to 1.89)", "1.80× as fast (1.72 to 1.89)"),
        (Ratio(1.06, 1.003, 1.11), "1.060 (1.003 to 1.110)", "1.060× as fast (1.003 to 1.110)"),
        (Ratio(0.95, 0.9, 0.99996), "0.95000 (0.90000 to 0.99996)", "0.95000× as fast (0.90000 to 0.99996)"),
        (Ratio(1.04, 0.998, 1.08), "1.04 (1.00 to 1.08)", "1.04× as fast (1.00 to 1.08)"),
        (Ratio(1.8, None, None), "1.80 (no interval)", "1.80× as fast (no interval)"),
        (Ratio(1.0, 1.0, 1.0), "1", "1× as fast"),
    ],
)
def test_ratios(ratio, cell, sentence):
    assert units.ratio(ratio) == cell
    assert units.times(ratio, "as fast") == sentence


def test_what_is_slower_is_told_the_other_way_round():
    assert units.slower(Ratio(0.5, 0.4, 0.8)) == "2.0× slower (1.2 to 2.5)"


def test_the_inverse_of_a_ratio():
    assert units.inverse(Ratio(2.0, 1.0, 4.0)) == Ratio(0.5, 0.25, 1.0)
    assert units.inverse(Ratio(2.0, None, None)) == Ratio(0.5, None, None)


@pytest.mark.parametrize(
    ("per_second", "shown"), [(0, "0"), (3.14159, "3.14"), (163_682.9, "164,000"), (10_780_000, "10,800,000")]
)
def test_rates_have_three_digits(per_second, shown):
    assert units.rate(per_second) == shown


def test_small_change():
    assert units.percent(0.93068) == "93.07%"
    assert units.round_percent(0.93) == "93%"
    assert units.size(24 * 2**30) == "24.0 GiB"
    assert units.day("2026-01-02T03:04:05Z") == "2026-01-02"
    assert [units.round_duration(s) for s in (0, 1e-5, 1e-3, 0.00025, 2.5)] == ["0", "10 µs", "1 ms", "250 µs", "2.5 s"]


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0, "0%"), (5e-5, "<0.01%"), (5e-4, "0.050%"), (0.034, "3.4%"), (0.0999, "10%"), (0.62, "62%"), (1.194, "119%")],
)
def test_shares(fraction, shown):
    assert units.share(fraction) == shown


@pytest.mark.parametrize(("joules", "shown"), [(12.34, "12.3 J"), (0.0312, "31.2 mJ"), (4.5e-5, "45.0 µJ")])
def test_energy(joules, shown):
    assert units.energy(joules) == shown


def test_counts():
    assert units.count(10_227_200) == "10,227,200"
    assert units.count(0) == "0"
    assert units.count(None) == "-"
