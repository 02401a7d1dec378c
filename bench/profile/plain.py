"""Text of programs and machines, safe to show: names, paths and messages may hold anything, and are never markup."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from bench.text import one_line

T = TypeVar("T")


def plain_texts(value: T) -> T:
    """`value` with every text in it on one line and without what no document may hold: in dataclasses, lists and keys.

    Where two keys become the same, their numbers are added.
    """
    made: Any = value
    if isinstance(value, str):
        made = one_line(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain_texts(getattr(value, field.name)) for field in dataclasses.fields(value)}
        made = dataclasses.replace(value, **fields)
    elif isinstance(value, (list, tuple)):
        made = type(value)(map(plain_texts, value))
    elif isinstance(value, dict):
        made = {}
        for key, inner in value.items():
            name, content = plain_texts(key), plain_texts(inner)
            made[name] = made[name] + content if name in made and isinstance(content, (int, float)) else content
    return made  # type: ignore[no-any-return]
