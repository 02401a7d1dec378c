"""What is derived of a record is derived once, and kept with it for as long as it lives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def once_a_record(derive: F) -> F:
    """Keeps what `derive(..., record)` returns with the record, by the identity of the other arguments.

    Records are never changed, and what a report says of one is said in a dozen tables. `dataclasses.replace` makes
    another record, for which all is derived anew.
    """

    @functools.wraps(derive)
    def derived(*arguments: Any) -> Any:
        *others, record = arguments
        kept = vars(record).setdefault("_derived", {})
        key = (derive, *map(id, others))
        if key not in kept:
            kept[key] = (others, derive(*arguments))  # with the arguments: while they live, nothing else has their id
        return kept[key][1]

    return derived  # type: ignore[return-value]
