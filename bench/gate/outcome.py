"""What a gate says: one outcome a question, and what they come to together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import errors
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS

ERROR = "ERROR"
SHOWN = "SHOWN"  # of what is not judged
# The worst first: a failure is a failure, whatever else could not be told.
EXIT_CODES = {
    FAIL: errors.FAILED,
    ERROR: errors.BROKEN,
    INCONCLUSIVE: errors.INCONCLUSIVE,
    PASS: errors.DONE,
    SHOWN: errors.DONE,
}


@dataclass(frozen=True)
class Outcome:
    """The answer to one question.

    Attributes:
        gate: `counts`, `timing` or `accuracy`.
        case: The case's id.
        verdict: PASS, FAIL, INCONCLUSIVE, ERROR or SHOWN.
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
    """A whole check: the candidate against a reference.

    Attributes:
        reference: A commit's id, the names of records, or nothing where both sides have one program.
        beside: What disturbed the machine meanwhile; the gates' error rates are certified beside a busy process, too.
        environment: The reference's interpreter and variables, where it has some of its own.
        differing: What differs between the environments: its name, the reference's and the candidate's.
    """

    reference: str
    machine: str
    dataset: str
    bound_fraction: float
    outcomes: list[Outcome]
    seconds: float
    beside: str | None = None
    environment: str = ""
    differing: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def gates(self) -> list[str]:
        """Those that ran, in their order."""
        return list(dict.fromkeys(outcome.gate for outcome in self.outcomes))

    def judged(self, gate: str) -> bool:
        """Whether a gate's outcomes are more than shown."""
        return all(outcome.verdict != SHOWN for outcome in self.outcomes if outcome.gate == gate)

    @property
    def against(self) -> str:
        """The reference, a commit by its first 8 digits, and its environment."""
        commit = self.reference[:8] if re.fullmatch("[0-9a-f]{40}", self.reference) else self.reference
        return " in ".join(filter(None, [commit, self.environment]))

    @property
    def verdict(self) -> str:
        """The worst of the outcomes; nothing measured is an error and no pass."""
        return worst([outcome.verdict for outcome in self.outcomes])

    @property
    def exit_code(self) -> int:
        """What the process returns."""
        return EXIT_CODES[self.verdict]


def worst(verdicts: Sequence[str]) -> str:
    """The first of FAIL, ERROR, INCONCLUSIVE, PASS and SHOWN that occurs; ERROR if there is none at all."""
    return next((verdict for verdict in EXIT_CODES if verdict in verdicts), ERROR)
