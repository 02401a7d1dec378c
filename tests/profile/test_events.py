"""From events to operators, kernels, gaps and stacks, on events made by hand."""

import pytest

from bench.profile.events import (
    BETWEEN,
    Event,
    Origin,
    Overhead,
    Ranges,
    gaps,
    kernels,
    most_of_each,
    numbered,
    operators,
    phases,
    settled,
    stacks,
    within_steps,
)

PARTS = ("forward", "backward")
US = 1e-6


def event(path: str, begin: float, end: float, own: float | None = None, on_device: bool = False) -> Event:
    """Times in µs; `path` joined by `;`."""
    names = tuple(path.split(";"))
    return Event(names, begin * US, end * US, (end - begin if own is None else own) * US, on_device)


def step(at: float, number: int) -> list[Event]:
    """100 µs: forward 0 to 40 with an addmm of 30, backward 40 to 90 with two mm of 10 on another thread.

    The range of backward waits for that thread, so all of its 50 µs seem to be its own.
    """
    name = f"ProfilerStep#{number}"
    return [
        event(name, at, at + 100, 10),
        event(f"{name};forward", at, at + 40, 10),
        event(f"{name};forward;aten::linear", at + 2, at + 38, 6),
        event(f"{name};forward;aten::linear;aten::addmm", at + 5, at + 35),
        event(f"{name};backward", at + 40, at + 90, 50),
        event("aten::mm", at + 50, at + 60),
        event("aten::mm", at + 70, at + 80),
    ]


TRACE = [*step(0, 0), *step(100.5, 1), event("ProfilerStep#2", 201, 202), event("ProfilerStep#2;aten::late", 201, 202)]
RANGES = Ranges(TRACE, PARTS, 2)
HOST = settled(TRACE, RANGES, PARTS)
FREE = Overhead(0.0, 0.0, 0.0)


def test_what_another_thread_does_for_a_part_is_not_counted_twice():
    own = [e.self_seconds for e in HOST if e.name == "backward"]
    assert own == [pytest.approx(30 * US)] * 2
    found = {p.phase: p for p in phases(HOST, RANGES, PARTS, 100.5 * US, {"forward": 35 * US}, FREE)}
    assert {name: p.traced_seconds for name, p in found.items()} == {
        "forward": pytest.approx(46 * US),  # as its own 10, 6 and 30 are given above
        "backward": pytest.approx(50 * US),
        "rest": pytest.approx(4.5 * US),
    }
    assert found["forward"].unprofiled_seconds == 35 * US
    assert (found["forward"].events, found["backward"].events, found["rest"].events) == (2, 2, 0)


def test_ranges_and_events_have_costs_of_their_own():
    overhead = Overhead(event_seconds=1 * US, inside_seconds=3 * US, outside_seconds=4 * US)
    found = {p.phase: p for p in phases(HOST, RANGES, PARTS, 100.5 * US, {}, overhead)}
    assert found["forward"].corrected_seconds == pytest.approx((46 - 3 - 2) * US)
    assert found["rest"].corrected_seconds == pytest.approx(0.5 * US)
    by_name = {o.name: o for o in operators(HOST, RANGES, PARTS, {}, overhead) if o.phase == "backward"}
    assert by_name[BETWEEN].self_seconds == pytest.approx(27 * US)
    assert by_name["aten::mm"].self_seconds == pytest.approx((20 - 2) * US)
    free = operators(HOST, RANGES, PARTS, {}, FREE)
    assert sum(o.self_seconds for o in free) == pytest.approx(96 * US)


def test_a_moment_belongs_to_a_step_and_a_part_by_time():
    assert [RANGES.step(at * US) for at in (0, 99, 100.2, 150, 201.5, -1)] == [0, 0, None, 1, None, None]
    assert [RANGES.part(at * US) for at in (10, 55, 95, 110)] == ["forward", "backward", "rest", "forward"]


def test_what_is_outside_of_the_steps_does_not_count():
    names = {e.name for e in within_steps(TRACE, RANGES)}
    assert names == {"forward", "backward", "aten::linear", "aten::addmm", "aten::mm"}


def test_a_call_is_numbered_within_its_step():
    found = [(e.begin, number) for e, number in numbered(within_steps(TRACE, RANGES), RANGES) if e.name == "aten::mm"]
    assert [number for _, number in found] == [0, 1, 0, 1]


def test_operators_by_part_and_line_with_the_profilers_cost_taken_off():
    origins = {
        ("aten::mm", 0): Origin("train.py:132 backward", 1000.0, 40.0),
        ("aten::mm", 1): Origin("train.py:999 elsewhere", 500.0, 0.0),
        ("aten::addmm", 0): Origin("model.py:25 forward", 2000.0, 8.0),
    }
    found = {
        (o.name, o.phase, o.line): o for o in operators(HOST, RANGES, PARTS, origins, Overhead(1 * US, 1 * US, 0.0))
    }
    addmm = found["aten::addmm", "forward", "model.py:25 forward"]
    assert (addmm.calls, addmm.flops, addmm.allocated_bytes) == (1, 2000, 8)
    assert addmm.self_seconds == pytest.approx(29 * US)
    # The same operator from two lines is two rows, and another thread's work is in the part of its time.
    assert found["aten::mm", "backward", "train.py:132 backward"].self_seconds == pytest.approx(9 * US)
    assert found["aten::mm", "backward", "train.py:999 elsewhere"].flops == 500
    assert found[BETWEEN, "backward", ""].self_seconds == pytest.approx(29 * US)
    assert [o.self_seconds for o in operators(HOST, RANGES, PARTS, {}, FREE)] == sorted(
        (o.self_seconds for o in operators(HOST, RANGES, PARTS, {}, FREE)), reverse=True
    )


def test_a_cost_above_the_call_itself_leaves_nothing_and_not_less():
    assert {o.self_seconds for o in operators(HOST, RANGES, PARTS, {}, Overhead(1.0, 1.0, 0.0))} == {0.0}


def test_no_event_is_thought_to_have_cost_more_than_it_took():
    assert most_of_each(6.0, [1.0, 5.0, 5.0]) == 2.5  # 1, 2.5 and 2.5
    assert most_of_each(3.0, [5.0, 5.0, 5.0]) == 1.0
    assert most_of_each(99.0, [1.0, 5.0]) == 5.0
    assert most_of_each(-1.0, [1.0, 5.0]) == 0.0
    assert most_of_each(1.0, []) == 0.0


def test_the_profilers_cost_is_taken_off_whole_and_by_all_views_alike():
    each = most_of_each(90 * US, [event.self_seconds for event in HOST if event.name not in PARTS])
    overhead = Overhead(each, 0.0, 0.0)
    called = sum(o.self_seconds for o in operators(HOST, RANGES, PARTS, {}, overhead))
    assert called == pytest.approx((96 - 90 / 2) * US)  # of two steps
    assert sum(p.corrected_seconds for p in phases(HOST, RANGES, PARTS, 96 * US, {}, overhead)) == pytest.approx(called)
    assert sum(stacks(HOST, RANGES, PARTS, overhead).values()) == pytest.approx(called)


def test_stacks_add_up_to_the_steps_without_the_steps_own_range():
    found = stacks(HOST, RANGES, PARTS, FREE)
    assert found["forward;aten::linear;aten::addmm"] == pytest.approx(30 * US)
    assert found["backward;aten::mm"] == pytest.approx(20 * US)  # put below its part, though on another thread
    assert sum(found.values()) == pytest.approx((10 + 6 + 30 + 30 + 20) * US)


def device(*spans: tuple[float, float]) -> list[Event]:
    return [event("sgemm", begin, end, on_device=True) for begin, end in spans]


def test_kernels_by_time():
    found = kernels([*TRACE, *device((5, 15), (105, 125)), event("Memcpy HtoD", 0, 40, on_device=True)], 2)
    assert [(k.name, k.calls, k.seconds) for k in found] == [
        ("Memcpy HtoD", 0.5, pytest.approx(20 * US)),
        ("sgemm", 1.0, pytest.approx(15 * US)),
    ]


def test_gaps_name_what_the_host_did_in_them():
    # Busy to 20 and again from 22, in forward's addmm; then not before 75, while the host was in backward.
    found = gaps([*TRACE, *device((10, 20), (22, 45), (24, 30), (75, 80))], RANGES)
    assert [(g.host, g.count) for g in found] == [("backward", 0.5), ("forward: aten::addmm", 0.5)]
    assert [g.seconds for g in found] == [pytest.approx(15 * US), pytest.approx(1 * US)]
    assert gaps(TRACE, RANGES) == []
