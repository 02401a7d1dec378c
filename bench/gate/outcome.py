"""What a gate says: one outcome a question, and what they come to together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import errors
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS

ERROR = "ERROR"
# The worst first: a failure is a failure, whatever else could not be told.
EXIT_CODES = {FAIL: errors.FAILED, ERROR: errors.BROKEN, INCONCLUSIVE: errors.INCONCLUSIVE, PASS: errors.DONE}


@dataclass(frozen=True)
class Outcome:
    """The answer to one question.

    Attributes:
        gate: `counts`, `timing` or `accuracy`.
        case: The case's id.
        verdict: PASS, FAIL, INCONCLUSIVE or ERROR.
        reason: A sentence.
        lines: More of them, such as one a changed count.
        raw: Every value behind it, for check.json.
    """

    gate: str
    case: str
    verdict: str
    reason: str
    lines: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Check:
    """A whole check: the candidate against `reference`, a commit's id or the names of records.

    Attributes:
        beside: What disturbed the machine meanwhile; the gates' error rates are certified beside a busy process, too.
    """

    reference: str
    machine: str
    dataset: str
    bound_fraction: float
    outcomes: list[Outcome]
    seconds: float
    beside: str | None = None

    @property
    def gates(self) -> list[str]:
        """Those that ran, in their order."""
        return list(dict.fromkeys(outcome.gate for outcome in self.outcomes))

    @property
    def against(self) -> str:
        """The reference, a commit by its first 8 digits."""
        return self.reference[:8] if re.fullmatch("[0-9a-f]{40}", self.reference) else self.reference

    @property
    def verdict(self) -> str:
        """The worst of the outcomes; nothing measured is an error and no pass."""
        return worst([outcome.verdict for outcome in self.outcomes])

    @property
    def exit_code(self) -> int:
        """What the process returns."""
        return EXIT_CODES[self.verdict]


def worst(verdicts: Sequence[str]) -> str:
    """The first of FAIL, ERROR, INCONCLUSIVE and PASS that occurs; ERROR if there is none at all."""
    return next((verdict for verdict in EXIT_CODES if verdict in verdicts), ERROR)
