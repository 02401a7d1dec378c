import mmap

import pytest

from bench.measure import page_faults

COUNTED = page_faults.taken() is not None


@pytest.mark.skipif(not COUNTED, reason="this system does not count them")
def test_memory_that_is_touched_for_the_first_time_takes_faults():
    before = page_faults.taken()
    with mmap.mmap(-1, 2**24, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = b"1" * 2**24
    assert page_faults.taken() > before


@pytest.mark.skipif(not COUNTED, reason="this system does not count them")
def test_a_fault_takes_what_the_first_touch_of_a_page_takes_more_than_the_next(monkeypatch):
    times = iter([0.0, 1.0, 1.0, 1.25])
    monkeypatch.setattr(page_faults.time, "perf_counter", lambda: next(times))
    assert page_faults.seconds_each() == 0.75 * mmap.PAGESIZE / page_faults.SAMPLE_BYTES
    times = iter([0.0, 1.0, 1.0, 2.5])  # what was in its way the second time is no time that was gained
    assert page_faults.seconds_each() == 0.0


def test_a_system_that_does_not_count_them_says_so(monkeypatch):
    monkeypatch.setattr(page_faults, "resource", None)
    assert page_faults.taken() is None
