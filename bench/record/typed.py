"""JSON as typed data: the type is the schema, and what does not fit it is refused with its place."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable
from typing import Any, TypeVar, cast

from bench.text import one_line

T = TypeVar("T")
LONGEST = 160  # of what is said about a fault


@functools.cache
def _adapter(kind: Hashable) -> Any:
    from pydantic import ConfigDict, TypeAdapter  # where something is read: it takes a tenth of a second

    # Of a list, since a dataclass takes no configuration from outside; those within it have the list's.
    return TypeAdapter(list[kind], config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))  # type: ignore[valid-type]


def converted(kind: type[T], data: Any) -> T:
    """What `json.load` made of a `kind` of dataclass, as one.

    Raises:
        ValueError: A field is missing, unknown, of another type or out of its range, or a number is none. The message
            is one line, and says where.
    """
    from pydantic import ValidationError

    try:
        # As text: only then are an object's and a dataclass's fields the same to it, and 1.0 is still no integer.
        text = f"[{json.dumps(data, ensure_ascii=False)}]".encode("utf-8", "replace")  # half a surrogate pair is none
        (instance,) = _adapter(cast(Hashable, kind)).validate_json(text)
    except ValidationError as error:
        raise ValueError(_first(error)) from None
    return cast(T, instance)


def _first(error: Any) -> str:
    fault = error.errors(include_url=False, include_context=False)[0]
    place = "/".join(str(part) for part in fault["loc"][1:]) or "the top level"
    shown = "" if fault["type"] == "missing" else f" (is {fault['input']!r})"
    return one_line(f"at {place}: {fault['msg']}{shown}")[:LONGEST]
