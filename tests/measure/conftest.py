"""What keeps the tests of this room quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on two threads than on one, and far slower where the other core is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection of garbage before a block takes a fifth of a second beside all that pytest keeps."""
    monkeypatch.setattr("gc.collect", lambda *generation: 0)
