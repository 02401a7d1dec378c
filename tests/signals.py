"""Signals that come at a moment that a test chooses."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest


def sent_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int = signal.SIGINT) -> None:
    """Makes this process get the signal as soon as it calls `owner.name`, which then does what it did."""
    there = getattr(owner, name)

    def signalled(*words: Any) -> Any:
        os.kill(os.getpid(), number)
        return there(*words)

    monkeypatch.setattr(owner, name, signalled)
