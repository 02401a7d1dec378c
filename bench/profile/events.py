"""From the events of a trace to operators, kernels, gaps and stacks; pure arithmetic, no torch."""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.profile.model import Gap, Kernel, Operator, PhaseTime

STEP = "ProfilerStep"  # as the profiler's own schedule names steps, which readers of traces look for
BETWEEN = "(between operators)"  # Python, autograd and what else is no operator


@dataclass(frozen=True)
class Event:
    """One event of a trace.

    Attributes:
        path: Names of the events around it on its thread, itself last.
        begin: Seconds on the trace's clock, as is `end`.
        self_seconds: Its own time, of the events within it taken out.
        device_seconds: Time that the device worked for it.
    """

    path: tuple[str, ...]
    begin: float
    end: float
    self_seconds: float
    on_device: bool = False
    device_seconds: float = 0.0

    @property
    def name(self) -> str:
        """The event's own name."""
        return self.path[-1]


class Ranges:
    """Which step and which part of it a moment belongs to, by the named ranges in the trace.

    By time and not by nesting: on a GPU the backward pass calls its operators from a thread of its own.
    """

    def __init__(self, events: Iterable[Event], parts: Sequence[str], steps: int) -> None:
        whole = sorted(
            (event for event in events if not event.on_device and event.name.startswith(STEP)), key=lambda e: e.begin
        )
        # The last range of an epoch's beginning is the one that was opened and had no step any more.
        self.steps = [(event.begin, event.end) for event in whole[:steps]]
        ranges = sorted(
            (
                event
                for event in events
                if not event.on_device and event.name in parts and self.step(event.begin) is not None
            ),
            key=lambda event: event.begin,
        )
        self._parts = [(event.begin, event.end, event.name) for event in ranges]
        self._begins = [begin for begin, _, _ in self._parts]

    def step(self, moment: float) -> int | None:
        """The step's number; None outside of all."""
        at = bisect.bisect_right(self.steps, (moment, float("inf"))) - 1
        return at if at >= 0 and moment <= self.steps[at][1] else None

    def part(self, moment: float) -> str:
        """The part's name; `rest` where it is none's."""
        at = bisect.bisect_right(self._begins, moment) - 1
        return self._parts[at][2] if at >= 0 and moment <= self._parts[at][1] else "rest"


def within_steps(events: Iterable[Event], ranges: Ranges) -> list[Event]:
    """The host's events that belong to a step, the steps themselves left out."""
    return [e for e in events if not e.on_device and not e.name.startswith(STEP) and ranges.step(e.begin) is not None]


def settled(events: Iterable[Event], ranges: Ranges, parts: Sequence[str]) -> list[Event]:
    """The host's events of the steps, with each part's own time less what other threads did for it meanwhile.

    On a GPU the backward pass calls its operators from a thread of its own, while the range of the part, on the main
    thread, only waits for it.
    """
    host = within_steps(events, ranges)
    elsewhere: dict[tuple[int | None, str], float] = collections.defaultdict(float)
    for event in host:
        if len(event.path) == 1 and event.name not in parts:
            elsewhere[ranges.step(event.begin), ranges.part(event.begin)] += event.end - event.begin
    return [
        dataclasses.replace(
            event, self_seconds=max(0.0, event.self_seconds - elsewhere[ranges.step(event.begin), event.name])
        )
        if event.name in parts
        else event
        for event in host
    ]


def numbered(events: Iterable[Event], ranges: Ranges) -> list[tuple[Event, int]]:
    """Each event with the number of earlier events of its name in its step: the same call in every step."""
    seen: collections.Counter[tuple[int | None, str]] = collections.Counter()
    calls = []
    for event in sorted(events, key=lambda event: event.begin):
        key = ranges.step(event.begin), event.name
        calls.append((event, seen[key]))
        seen[key] += 1
    return calls


@dataclass(frozen=True)
class Origin:
    """Of one call: the line of `fcnn` that caused it, its FLOPs, the bytes that it allocated."""

    line: str = ""
    flops: float = 0.0
    allocated_bytes: float = 0.0


@dataclass(frozen=True)
class Overhead:
    """What the profiler adds.

    Attributes:
        event_seconds: To the time of an operator, for its own event; all of its time where it took less.
        inside_seconds: To the time of a part, for its own range.
        outside_seconds: To a step, for its ranges, outside of all parts.
    """

    event_seconds: float
    inside_seconds: float
    outside_seconds: float

    def of(self, event: Event, parts: Sequence[str]) -> float:
        """What it adds to this event."""
        return self.inside_seconds if event.name in parts else min(self.event_seconds, event.self_seconds)


def most_of_each(total: float, of_each: Iterable[float]) -> float:
    """The amount that, taken off each but from none more than it has, makes up `total`; the most of one, if none does.

    Half of a step's operators take less time than an event of the profiler does on average, so that these cannot have
    cost that much, and others have cost more: a launch of a kernel has an event of the driver's as well.
    """
    have = sorted(of_each)
    left = total
    for number, amount in enumerate(have):
        each = left / (len(have) - number)
        if each <= amount:
            return max(0.0, each)
        left -= amount
    return have[-1] if have else 0.0


def operators(
    host: Iterable[Event],
    ranges: Ranges,
    parts: Sequence[str],
    origins: dict[tuple[str, int], Origin],
    overhead: Overhead,
) -> list[Operator]:
    """Operators by part and line, the most self time first; `host` is settled."""
    totals: dict[tuple[str, str, str], list[float]] = collections.defaultdict(lambda: [0.0] * 5)
    steps = max(len(ranges.steps), 1)
    for event, number in numbered(host, ranges):
        is_part = event.name in parts
        origin = Origin() if is_part else origins.get((event.name, number), Origin())
        name, phase = (BETWEEN, event.name) if is_part else (event.name, ranges.part(event.begin))
        total = totals[name, phase, origin.line]
        total[0] += 1
        total[1] += event.self_seconds - overhead.of(event, parts)
        total[2] += event.device_seconds
        total[3] += origin.flops
        total[4] += origin.allocated_bytes
    rows = [
        Operator(name, phase, line, calls / steps, max(0.0, own / steps), *(one / steps for one in rest))
        for (name, phase, line), (calls, own, *rest) in totals.items()
    ]
    return sorted(rows, key=lambda operator: -max(operator.self_seconds, operator.device_seconds))


def phases(
    host: Sequence[Event],
    ranges: Ranges,
    parts: Sequence[str],
    traced_seconds: float,
    unprofiled: Mapping[str, float],
    overhead: Overhead,
) -> list[PhaseTime]:
    """The parts in their order and then `rest`, a step; `host` is settled, `traced_seconds` are a whole step's."""
    steps = max(len(ranges.steps), 1)
    seconds, events, cost = (dict.fromkeys(parts, 0.0) for _ in range(3))
    for event in host:
        part = event.name if event.name in parts else ranges.part(event.begin)
        if part in seconds:
            seconds[part] += event.self_seconds / steps
            events[part] += (event.name not in parts) / steps
            cost[part] += overhead.of(event, parts) / steps
    times = [
        PhaseTime(part, unprofiled.get(part, 0.0), seconds[part], max(0.0, seconds[part] - cost[part]), events[part])
        for part in parts
    ]
    rest = max(0.0, traced_seconds - sum(seconds.values()))
    number = sum(ranges.part(event.begin) == "rest" for event in host) / steps
    corrected = max(0.0, rest - overhead.outside_seconds)
    return [*times, PhaseTime("rest", unprofiled.get("rest", 0.0), rest, corrected, number)]


def stacks(host: Iterable[Event], ranges: Ranges, parts: Sequence[str], overhead: Overhead) -> dict[str, float]:
    """Self seconds per step by the path of names, without the step itself, for a flame graph; `host` is settled."""
    seconds_of: dict[str, float] = collections.defaultdict(float)
    for event in host:
        path = [name for name in event.path if not name.startswith(STEP)]
        if path[0] != ranges.part(event.begin):
            path.insert(0, ranges.part(event.begin))
        seconds_of[";".join(path)] += max(0.0, event.self_seconds - overhead.of(event, parts))
    steps = max(len(ranges.steps), 1)
    return {path: seconds / steps for path, seconds in seconds_of.items() if seconds > 0}


def kernels(events: Iterable[Event], steps: int) -> list[Kernel]:
    """What the device ran, the longest first."""
    totals: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    for event in events:
        if event.on_device:
            totals[event.name][0] += 1
            totals[event.name][1] += event.end - event.begin
    rows = [Kernel(name, calls / steps, seconds / steps) for name, (calls, seconds) in totals.items()]
    return sorted(rows, key=lambda kernel: -kernel.seconds)


def gaps(events: Sequence[Event], ranges: Ranges) -> list[Gap]:
    """Between the device's first and last work, the time in which it idled, by what the host did in its middle."""
    device = sorted((e.begin, e.end) for e in events if e.on_device)
    waiting = collections.deque(
        sorted((e for e in events if not e.on_device and not e.name.startswith(STEP)), key=lambda e: e.begin)
    )
    under_way: list[Event] = []
    totals: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    busy_until = device[0][1] if device else 0.0
    for begin, end in device[1:]:
        if begin > busy_until:
            middle = (begin + busy_until) / 2
            while waiting and waiting[0].begin <= middle:
                under_way.append(waiting.popleft())
            under_way = [event for event in under_way if event.end >= middle]
            part = ranges.part(middle)
            doing = (
                max(under_way, key=lambda e: (len(e.path), e.begin)).name if under_way else "nothing that was traced"
            )
            total = totals[doing if doing == part else f"{part}: {doing}"]
            total[0] += begin - busy_until
            total[1] += 1
        busy_until = max(busy_until, end)
    steps = max(len(ranges.steps), 1)
    rows = [Gap(name, seconds / steps, count / steps) for name, (seconds, count) in totals.items()]
    return sorted(rows, key=lambda gap: -gap.seconds)
