import itertools
from types import SimpleNamespace

import pytest

from bench.measure import breakdown as of
from bench.measure.breakdown import ThreadEvent, fastest, measure_breakdown, seconds_by_kind
from bench.measure.device_work import DeviceWork, work_of
from bench.measure.pace import Pace
from tests.measure.simulated import SimulatedTime


def taking(time, seconds, parts=()):
    def repeat(mark=None):
        time.seconds += seconds
        for part in parts if mark else ():
            mark(part)

    return repeat


def test_step_and_empty_step_take_turns(monkeypatch):
    time = SimulatedTime()
    monkeypatch.setattr(of, "_operator_seconds", lambda *_: ({"product": 3e-4, "other": 2e-4}, {"product": 1e-5}))
    step, empty = taking(time, 1e-3), taking(time, 4e-4, ["forward", "optimizer"])
    found = measure_breakdown(step, empty, time.clock(), empty)
    assert found.step_seconds == pytest.approx(1e-3)
    assert found.empty_step_seconds == pytest.approx(4e-4)
    assert found.empty_parts_seconds["forward"] == pytest.approx(4e-4)
    assert found.work_seconds == {"product": 3e-4, "other": 2e-4}
    assert found.empty_work_seconds == {"product": 1e-5}


def test_page_faults_of_the_step_are_counted_and_not_those_of_the_empty_one(monkeypatch):
    time, faults = SimulatedTime(), 0
    monkeypatch.setattr(of, "_operator_seconds", lambda *_: ({}, {}))
    monkeypatch.setattr(of.page_faults, "taken", lambda: faults)
    monkeypatch.setattr(of.page_faults, "seconds_each", lambda: 2e-6)

    def step():
        nonlocal faults
        faults += 7
        time.seconds += 1e-3

    def empty():
        nonlocal faults
        faults += 100
        time.seconds += 4e-4

    found = measure_breakdown(step, empty, time.clock())
    assert (found.page_faults, found.page_fault_seconds) == (7, pytest.approx(14e-6))
    monkeypatch.setattr(of.page_faults, "taken", lambda: None)
    found = measure_breakdown(step, empty, time.clock())
    assert (found.page_faults, found.page_fault_seconds) == (None, None)


def test_a_part_alone_has_no_parts(monkeypatch):
    time = SimulatedTime()
    monkeypatch.setattr(of, "_operator_seconds", lambda *_: ({}, {}))
    assert measure_breakdown(taking(time, 1e-3), taking(time, 1e-4), time.clock()).empty_parts_seconds == {}


def test_what_disturbs_a_few_blocks_is_left_aside(monkeypatch):
    time, slow = SimulatedTime(), itertools.cycle([1.0] * 30 + [9.0] * 10)
    monkeypatch.setattr(of, "_operator_seconds", lambda *_: ({}, {}))

    def step():
        time.seconds += 1e-3 * next(slow)

    assert measure_breakdown(step, taking(time, 4e-4), time.clock()).step_seconds == pytest.approx(1e-3)


def test_on_the_cpu_the_step_and_the_empty_one_are_their_fastest_blocks_with_the_pace_of_a_core(monkeypatch):
    """Where threads take longer to hand work over, for half of the time, the empty step does not: it has none."""
    time = SimulatedTime()
    monkeypatch.setattr(of, "_operator_seconds", lambda *_: ({}, {}))
    monkeypatch.setattr(of.pace, "measure", lambda clock: Pace(1e-4, 2e-6))

    def step():
        time.seconds += 1e-3 if time.seconds < 0.1 else 1.5e-3

    found = measure_breakdown(step, taking(time, 4e-4), time.clock())
    assert (found.step_seconds, found.empty_step_seconds) == (pytest.approx(1e-3), pytest.approx(4e-4))
    assert found.core_seconds == pytest.approx(1e-4)


def test_a_machine_that_is_fast_for_a_moment_does_not_change_the_share(monkeypatch):
    """For a few blocks, which a step or an empty step happens to be in, all takes a third of the time."""
    time = SimulatedTime()
    monkeypatch.setattr(of, "_operator_seconds", lambda *_: ({}, {}))

    def step():
        time.seconds += 1e-3 / (3 if 0.03 < time.seconds < 0.05 else 1)

    found = measure_breakdown(step, taking(time, 4e-4), time.clock(torch_name="mps"))
    assert found.step_seconds < 0.7e-3
    assert found.empty_step_seconds / found.step_seconds == pytest.approx(0.4)


def test_on_a_gpu_the_work_is_that_of_its_kernels(monkeypatch):
    time, asked = SimulatedTime(), []
    works = iter([
        DeviceWork(4, 0, {"product": 3e-5, "other": 1e-5, "copy": 2e-6}, copy_call_seconds=8e-6),
        DeviceWork(4, 0, {"other": 4e-6}),
    ])  # fmt: skip
    monkeypatch.setattr(of, "device_work", lambda repeat, _: asked.append(repeat) or next(works))
    step, empty = taking(time, 1e-3), taking(time, 9e-4)
    found = measure_breakdown(step, empty, time.clock(torch_name="cuda"))
    assert asked == [step, empty]
    assert found.work_seconds == {"product": 3e-5, "other": 1e-5, "copy": 2e-6, "copy_call": 8e-6}
    assert found.empty_work_seconds == {"other": 4e-6, "copy_call": 0.0}


def test_another_accelerator_does_not_tell_its_work():
    time = SimulatedTime()
    found = measure_breakdown(taking(time, 1e-3), taking(time, 9e-4), time.clock(torch_name="mps"))
    assert (found.work_seconds, found.empty_work_seconds) == ({}, {})


def test_operators_count_by_their_kind_and_within_their_range():
    """Microseconds; what is within another is taken out of it, and what is within a product is of the product."""
    events = [
        (1, 0, 100, of.STEP),
        (1, 10, 50, "aten::linear"), (1, 12, 48, "aten::addmm"), (1, 14, 18, "aten::copy_"),
        (1, 60, 80, "autograd::engine::evaluate_function"), (1, 65, 73, "aten::relu"),
        (2, 20, 90, "aten::add"),  # another thread
        (1, 200, 300, of.NOTHING), (1, 210, 215, "aten::mm"), (1, 220, 225, "cudaLaunchKernel"),
        (1, 400, 500, "aten::add"),
    ]  # fmt: skip
    events = [ThreadEvent(thread, 1000 * begin, 1000 * end, name) for thread, begin, end, name in events]
    assert seconds_by_kind(events, of.STEP) == pytest.approx({"product": 36e-6, "other": 12e-6, "rest": 52e-6})
    assert seconds_by_kind(reversed(events), of.NOTHING) == pytest.approx({"product": 5e-6, "other": 0, "rest": 95e-6})
    assert seconds_by_kind(events, "no such range") == {}


def test_what_a_compiler_has_made_is_an_operator_but_for_the_products_in_it():
    events = [
        (1, 0, 100, of.STEP),
        (1, 10, 80, "Torch-Compiled Region: 0/0"),
        (1, 20, 70, "## Call CompiledFxGraph fthahgzbxy ##"),
        (1, 30, 60, "aten::addmm"),
    ]
    events = [ThreadEvent(thread, 1000 * begin, 1000 * end, name) for thread, begin, end, name in events]
    assert seconds_by_kind(events, of.STEP) == pytest.approx({"product": 30e-6, "other": 20e-6, "rest": 50e-6})


def test_of_several_ranges_the_fastest_quarter_counts():
    events = []
    for number in range(8):
        begin = 1_000_000 * number
        events.append(ThreadEvent(1, begin, begin + 900_000, of.STEP))
        events.append(ThreadEvent(1, begin + 1, begin + 1 + 10_000 + 5_000 * number, "aten::mm"))
    assert seconds_by_kind(events, of.STEP)["product"] == pytest.approx(12.5e-6)


def test_the_fastest_quarter_is_at_least_one():
    assert fastest([3.0]) == 3.0
    assert fastest([5.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0]) == 1.5


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ampere_sgemm_32x32_sliced1x4_nn", "product"),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_64x64>", "product"),
        ("nvjet_tst_64x8_64x16_4x1_v_bz_TNT", "product"),
        ("void gemv2T_kernel_val<int, float>", "product"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::AddFunctor>", "other"),
        ("Memset (Device)", "other"),
        ("Memcpy HtoD (Pageable -> Device)", "copy"),
    ],
)
def test_a_kernels_kind_is_told_by_its_name(name, kind):
    found = SimpleNamespace(name=name, self_device_time_total=2.0, device_type="DeviceType.CUDA")
    assert work_of([found], 1).seconds_by_kind[kind] == pytest.approx(2e-6)
