"""How large or long a value may be, as pydantic understands it.

A worker under another interpreter, which need have nothing but torch, reads no records: there, they say nothing.
"""

__all__ = ["Ge", "Gt", "Interval", "MinLen", "Predicate"]

try:
    from annotated_types import Ge, Gt, Interval, MinLen, Predicate
except ImportError:

    def _unread(*_: object, **__: object) -> None:
        """Stands for a bound."""

    Ge = Gt = Interval = MinLen = Predicate = _unread  # type: ignore[assignment, misc]
