"""CUDA's streams and graphs without a GPU: what is done is noted in its order, with the stream that it is done on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch


class Streams:
    """In the place of torch's: the stream `main`, and those that are made, `side`.

    As with CUDA, a graph keeps nothing of what it was captured from.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notes: list[str] = []
        self.current = self._stream("main")
        self.capturing = False
        for name, fake in {
            "Stream": lambda: self._stream("side"),
            "current_stream": lambda: self.current,
            "stream": self._on,
            "graph": self._captured,
            "CUDAGraph": lambda: SimpleNamespace(replay=lambda: self.note("replay")),
            "synchronize": lambda: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, raising=False)

    def note(self, what: str) -> None:
        """That this is done now, where it is done, and whether it is only captured."""
        self.notes.append(f"{what} on {self.current.name}{', captured' if self.capturing else ''}")

    def _stream(self, name: str) -> Any:
        return SimpleNamespace(name=name, wait_stream=lambda other: self.notes.append(f"{name} waits for {other.name}"))

    @contextlib.contextmanager
    def _on(self, stream: Any) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextlib.contextmanager
    def _captured(self, graph: Any, stream: Any = None, **_: Any) -> Iterator[None]:
        with self._on(stream or self._stream("side")):
            self.capturing = True
            yield
            self.capturing = False
