"""What a disturbed result says before any of its numbers."""

from __future__ import annotations

from collections.abc import Mapping


def joined(reasons: Mapping[str, str | None]) -> str | None:
    """The reasons of a result's parts as one, each with its parts; None if there are none.

    Such as `other processes kept 1.0 cores busy meanwhile (trace, Python stacks)`.
    """
    parts: dict[str, list[str]] = {}
    for part, reason in reasons.items():
        if reason:
            parts.setdefault(reason, []).append(part)
    return "; ".join(f"{reason} ({', '.join(names)})" for reason, names in parts.items()) or None


def notice(reason: str, program: str, again: str) -> str:
    """The reason, what it means and the remedy.

    Args:
        reason: From `joined`.
        program: Whose numbers these are not.
        again: What to do once nothing disturbs any more.
    """
    return (
        f"Disturbed: {reason}. These numbers are of that mixture and not of {program}: end the other processes or lift "
        f"the quota, and {again}."
    )
