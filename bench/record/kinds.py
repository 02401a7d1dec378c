"""The kinds of values that a record holds: what a number or a text may be, so that a wrong one is refused."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Literal

from bench.record.bounds import Ge, Gt, Interval, MinLen, Predicate


def _is_instant(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text) is not None and bool(
        datetime.datetime.fromisoformat(text)
    )


Text = Annotated[str, MinLen(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveInt = Annotated[int, Ge(1)]
NonNegativeFloat = Annotated[float, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Instant = Annotated[str, Predicate(_is_instant)]
Slug = Annotated[str, Predicate(re.compile(r"[a-z0-9]+(-[a-z0-9]+)*").fullmatch)]
CommitId = Annotated[str, Predicate(re.compile(r"[0-9a-f]{7,40}").fullmatch)]
Sha256 = Annotated[str, Predicate(re.compile(r"[0-9a-f]{64}").fullmatch)]
Fact = str | int | float | bool | None
Unit = Literal["flop", "byte", "call", "pass", "node", "barrier"]
