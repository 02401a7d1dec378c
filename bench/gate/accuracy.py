"""The accuracy gate: does the candidate still learn as well as the reference distribution says, and not better?

Test accuracy is a distribution over seeds, so one seed against a threshold fails correct code. Here the mean of a few
seeds is compared with that of many, which are committed with their evidence. The seeds suffice for the stated power.
Too good to be true fails as well: it is test images among the training images more often than a better network.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.stats

from bench.errors import BenchError, not_comparable
from bench.record import files

REFERENCE_FOLDER = Path("bench/gate/seeds")
FEWEST_REFERENCE_SEEDS = 100
# Epochs of a training, by dataset: of the embedded 4,000 images, 15 take as many steps as one of the 60,000.
EPOCHS = {"MNIST": 1, "MNIST-5k": 15}


@dataclass(frozen=True)
class AccuracyRule:
    """Error rates.

    Attributes:
        fail_alpha: Largest probability of FAIL for correct code, both sides together.
        drop: A drop of mean accuracy that must be caught, as a fraction: 0.005 is half a point.
        power: Least probability of catching it.
    """

    fail_alpha: float = 0.0008
    drop: float = 0.005
    power: float = 0.99


@dataclass(frozen=True)
class Reference:
    """Test accuracies of correct code, a seed each, on the images whose digest is `sha256`."""

    dataset: str
    sha256: str
    epochs: int
    seeds: list[int]
    test_accuracy_fraction: list[float]
    made_with: dict[str, Any]

    @property
    def mean(self) -> float:
        """Of all seeds."""
        return statistics.fmean(self.test_accuracy_fraction)

    @property
    def deviation(self) -> float:
        """Standard deviation between seeds."""
        return statistics.stdev(self.test_accuracy_fraction)


@dataclass(frozen=True)
class Judgement:
    """The verdict: `passed`, and a sentence with the numbers."""

    passed: bool
    mean: float
    p: float
    reason: str


def read_reference(dataset: str, sha256: str, folder: Path) -> Reference:
    """The committed distribution for these images.

    Raises:
        BenchError: There is none, it is of other images, or of too few seeds.
    """
    path = folder / f"{dataset.lower()}.json"
    if not path.exists():
        raise not_comparable(f"there is no reference distribution of accuracies on {dataset}: {path}")
    try:
        reference = Reference(**files.read_json(path))
    except (BenchError, TypeError) as error:
        raise not_comparable(f"{path}: cannot be read: {error}") from None
    if reference.sha256 != sha256:
        raise not_comparable(f"{path} is of other images than those here")
    if len(reference.test_accuracy_fraction) < FEWEST_REFERENCE_SEEDS:
        raise not_comparable(f"{path} holds {len(reference.test_accuracy_fraction)} seeds, fewer than "
                             f"{FEWEST_REFERENCE_SEEDS}")  # fmt: skip
    return reference


def seeds_needed(reference: Reference, rule: AccuracyRule) -> int:
    """The fewest seeds with which a drop of `rule.drop` is caught with `rule.power`.

    The usual sample size of a comparison of means with a known deviation (two-sided test), the reference's own error
    included.

    Raises:
        BenchError: No number of seeds suffices against a reference of so few.
    """
    quantiles = -scipy.stats.norm.ppf(rule.fail_alpha / 2) + scipy.stats.norm.ppf(rule.power)
    rest = (rule.drop / (quantiles * reference.deviation)) ** 2 - 1 / len(reference.test_accuracy_fraction)
    if rest <= 0:
        raise not_comparable(f"{len(reference.test_accuracy_fraction)} reference seeds are too few to see such a drop")
    seeds: int = math.ceil(1 / rest)
    return max(3, seeds)


def judge(accuracies: Sequence[float], reference: Reference, rule: AccuracyRule) -> Judgement:
    """The candidate's accuracies against the reference's; no accuracies do not pass.

    The deviation is the reference's, whose many seeds know it better than the candidate's few.
    """
    if len(accuracies) == 0:
        return Judgement(False, math.nan, 0.0, "no seed was trained")
    mean = statistics.fmean(accuracies)
    error = reference.deviation * math.sqrt(1 / len(accuracies) + 1 / len(reference.test_accuracy_fraction))
    p = float(2 * scipy.stats.norm.sf(abs(mean - reference.mean) / error))
    shown = f"{mean:.2%} over {len(accuracies)} seeds against {reference.mean:.2%}"
    if not p > rule.fail_alpha:
        what = "less accurate" if mean < reference.mean else "too good to be true: has it seen the test images?"
        return Judgement(False, mean, p, f"{what} ({shown}, p = {p:.2g})")
    return Judgement(True, mean, p, f"{shown} (p = {p:.2g})")
