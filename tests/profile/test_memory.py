import mmap
import sys
from pathlib import Path

import pytest

from bench.axes.case import parse_id
from bench.errors import BenchError
from bench.profile import memory
from bench.profile.memory import CATEGORIES, POINTS, held_at_peak, thinned
from bench.profile.steps import MarkedSteps


def test_a_thinned_timeline_keeps_its_peak_and_its_ends():
    times = list(range(1000, 11_000))
    sizes = [[0, 100, *[0] * (len(CATEGORIES) - 1)] for _ in times]
    sizes[4321] = [0, 100, 7_000, *[0] * (len(CATEGORIES) - 2)]
    seconds, found = thinned(times, sizes)
    assert len(seconds) <= POINTS + 3
    assert (seconds[0], seconds[-1]) == (0.0, pytest.approx(9_999e-6))
    assert max(found["optimizer state"]) == 7_000
    assert set(found) == {"parameters", "optimizer state"}  # those that are always empty are left out


def held():
    kept.append(bytearray(50_000_000))


kept: list[bytearray] = []


def test_what_is_held_at_the_peak_is_named_by_its_line():
    pytest.importorskip("memray")
    holders, peak, reserved = held_at_peak(held, Path("/nowhere"))
    kept.clear()
    assert peak >= 50_000_000
    assert reserved == 0
    assert holders[0].where.startswith("profile/test_memory.py:")
    assert holders[0].where.endswith(" held")
    assert holders[0].bytes >= 50_000_000


@pytest.mark.skipif(not hasattr(mmap, "MAP_ANONYMOUS"), reason="reserves addresses as POSIX does")
def test_addresses_that_are_only_reserved_are_no_memory():
    pytest.importorskip("memray")
    kept_addresses = []

    def reserve():
        held()
        kept_addresses.append(mmap.mmap(-1, 2**38, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0))

    holders, peak, reserved = held_at_peak(reserve, Path("/nowhere"))
    kept.clear()
    assert reserved == 2**38
    assert 50_000_000 <= peak < 2**38
    assert holders[0].where.endswith(" held")


def test_without_memray_the_reason_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "memray", None)
    with pytest.raises(BenchError, match=r"^memray is not installed: pip install memray$"):
        held_at_peak(held, Path("/nowhere"))


def test_what_torchs_internals_raise_is_the_reason_for_no_timeline(monkeypatch):
    class Recorder:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def export_memory_timeline(self, file, device):
            raise KeyError("a category\nthat is new")

    monkeypatch.setattr(memory, "profile", lambda **options: Recorder())
    steps = MarkedSteps(("step",), lambda mark, count: None)
    with pytest.raises(BenchError, match=r"^this torch exports no memory timeline: KeyError: "):
        memory.timeline(parse_id("step[cpu-b64-fp32]"), steps)
