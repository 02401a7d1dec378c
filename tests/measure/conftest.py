"""What keeps the tests of this room quick."""

from __future__ import annotations

import pytest


@pytest.fixture
def without_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection of garbage before a block takes a fifth of a second beside all that pytest keeps."""
    monkeypatch.setattr("gc.collect", lambda *generation: 0)
