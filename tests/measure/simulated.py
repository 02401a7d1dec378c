"""A clock without time: repetitions advance it by what they pretend to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.axes.devices import Device
from bench.measure.clock import Clock


class SimulatedTime:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self.synchronizations = 0

    def now(self) -> float:
        return self.seconds

    def repeat_taking(self, durations: Iterator[float]) -> Callable[[], None]:
        def repeat() -> None:
            self.calls += 1
            self.seconds += next(durations)

        return repeat

    def synchronize(self) -> None:
        self.synchronizations += 1

    def device(self, **changes: object) -> Device:
        fields = {
            "name": "fake",
            "torch_name": "cpu",
            "why_missing": lambda: None,
            "model": lambda: "Fake GPU",
            "synchronize": self.synchronize,
        }
        return Device(**{**fields, **changes})  # type: ignore[arg-type]

    def clock(self, **changes: object) -> Clock:
        return Clock(self.device(**changes), self.now)
