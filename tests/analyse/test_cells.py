import dataclasses

import pytest

from bench.analyse.cells import DISTURBED, cells, curve, measured_devices, plain_step, times_as_fast
from bench.record.measurement import Flag
from tests.data.measurements import COLD, case, gap, measured
from tests.data.records import CPU_RECORD, GPU_RECORD, bare, flagged, only


def by_id(record):
    return {cell.id: cell for cell in cells(record)}


def test_every_planned_case_is_a_cell():
    found = cells(CPU_RECORD)
    assert [cell.id for cell in found] == [m.id for m in CPU_RECORD.measurements] + [
        u.id for u in CPU_RECORD.unmeasured
    ]
    assert all((cell.summary is None) == (cell.unmeasured is not None) for cell in found)


def test_speedup_is_against_eager_fp32_on_the_cpu_of_the_same_batch():
    found = by_id(GPU_RECORD)
    large = found["step[cuda-b16384-fp32]"].speedup
    assert large.ratio.value == pytest.approx(0.8 * 33.1e-3 / 1.52e-3, rel=1e-6)
    assert large.ratio.low < large.ratio.value < large.ratio.high
    assert large.baseline_id == "step[cpu-b16384-fp32]"
    for variant in ("bf16", "fp32-fused", "fp32-reduce-overhead"):
        assert found[f"step[cuda-b64-{variant}]"].speedup.baseline_id == "step[cpu-b64-fp32]"


def test_the_baseline_is_exactly_once_as_fast_as_itself():
    versus = by_id(CPU_RECORD)["step[cpu-b64-fp32]"].speedup
    assert (versus.ratio.value, versus.ratio.low, versus.ratio.high) == (1, 1, 1)
    assert not versus.ratio.clear
    assert versus.reason == "baseline"


def test_an_epoch_is_compared_on_its_own_feed_and_with_the_loader():
    found = by_id(GPU_RECORD)
    resident = found["epoch[cuda-b64-fp32]"]
    assert resident.speedup.baseline_id == "epoch[cpu-b64-fp32]"
    assert resident.against_loader.baseline_id == "epoch[cuda-b64-fp32-loader]"
    assert resident.against_loader.ratio.value == pytest.approx(2.31 / 0.446, rel=1e-6)
    # On the CPU, host memory is the device's memory.
    assert found["epoch[cuda-b64-fp32-device]"].speedup.baseline_id == "epoch[cpu-b64-fp32]"
    assert found["step[cuda-b64-fp32]"].against_loader.reason is None


def test_a_compiled_case_is_compared_with_itself_uncompiled():
    found = by_id(GPU_RECORD)
    compiled = found["step[cuda-b64-fp32-compile]"].against_eager
    assert compiled.ratio.value == pytest.approx(1 / 0.83, rel=1e-6)
    assert compiled.baseline_id == "step[cuda-b64-fp32]"
    assert found["step[cuda-b64-fp32]"].against_eager.ratio is None
    alone = by_id(only(GPU_RECORD, "step[cuda-b64-fp32-compile]"))
    assert alone["step[cuda-b64-fp32-compile]"].against_eager.reason == "not run without the compiler"


def test_parts_are_shares_of_the_step():
    found = by_id(CPU_RECORD)
    assert found["forward[cpu-b64-fp32]"].share_of_step.ratio.value == pytest.approx(0.24, rel=1e-6)
    assert found["step[cpu-b64-fp32]"].share_of_step.ratio.value == 1
    assert found["epoch[cpu-b64-fp32]"].share_of_step.ratio is None
    alone = by_id(only(CPU_RECORD, "forward[cpu-b64-fp32]"))
    assert alone["forward[cpu-b64-fp32]"].share_of_step.reason == "no whole step in this run"


def test_throughput_is_of_what_trains_on_images():
    found = by_id(CPU_RECORD)
    assert found["step[cpu-b64-fp32]"].images_per_second == pytest.approx(64 / 391e-6, rel=1e-6)
    assert found["epoch[cpu-b64-fp32]"].images_per_second == pytest.approx(60_000 / 0.372, rel=1e-6)
    assert found["optimizer[cpu-b64-fp32]"].images_per_second is None


def test_a_flagged_cell_is_compared_with_nothing():
    cell = by_id(CPU_RECORD)["step[cpu-b64-fp16]"]
    assert cell.summary.time == pytest.approx(620e-6, rel=1e-6)
    assert cell.speedup.ratio is None
    assert cell.speedup.reason == "flagged: cold"


def test_nothing_is_compared_with_a_flagged_baseline():
    found = by_id(flagged(CPU_RECORD, "step[cpu-b64-fp32]"))
    compared = [cell for cell in found.values() if cell.speedup.baseline_id == "step[cpu-b64-fp32]" and not cell.flags]
    assert len(compared) >= 4
    for cell in compared:
        assert cell.speedup.ratio is None
        assert cell.speedup.reason in ("its baseline is flagged: cold", "not measured (impossible)",
                                       "not measured (failed)")  # fmt: skip
    itself = found["step[cpu-b64-fp32]"]
    assert (itself.speedup.ratio, itself.speedup.reason) == (None, "flagged: cold")
    assert itself.share_of_step.ratio is None
    assert found["forward[cpu-b64-fp32]"].share_of_step.reason == "its baseline is flagged: cold"


def test_missing_cells_and_baselines_give_their_reason():
    assert by_id(CPU_RECORD)["step[cuda-b64-fp32]"].speedup.reason == "not measured (impossible)"
    assert by_id(GPU_RECORD)["accuracy[cuda-b64-fp32]"].speedup.reason == "no CPU baseline in this run"
    record = only(GPU_RECORD, "step[cuda-b64-fp32]")
    assert by_id(record)["step[cuda-b64-fp32]"].speedup.reason == "no CPU baseline in this run"
    broken = dataclasses.replace(record, unmeasured=[gap(case(), "failed", "RuntimeError")])
    assert by_id(broken)["step[cuda-b64-fp32]"].speedup.reason == "its baseline is not measured (failed)"


def test_another_number_of_threads_is_another_baseline():
    one, two = case(threads=1), case(threads=2)
    fused = case(threads=1, optimizer="fused")
    record = dataclasses.replace(
        CPU_RECORD,
        measurements=[
            dataclasses.replace(measured(one, 4e-4), id="one"),
            dataclasses.replace(measured(two, 2e-4), id="two"),
            dataclasses.replace(measured(fused, 2e-4), id="fused"),
        ],
        unmeasured=[],
    )
    assert by_id(record)["fused"].speedup.baseline_id == "one"
    assert by_id(record)["two"].speedup.baseline_id == "two"


def test_times_as_fast_reads_both_ways():
    found = by_id(CPU_RECORD)
    plain, fused = found["step[cpu-b64-fp32]"], found["step[cpu-b64-fp32-fused]"]
    faster, slower = times_as_fast(fused, plain).ratio, times_as_fast(plain, fused).ratio
    assert faster.clear
    assert faster.low > 1 > slower.high
    assert faster.value == pytest.approx(1 / slower.value)


def test_flag_names_are_said_once():
    twice = measured(case(), 1e-3, flags=[COLD, Flag("throttled", "hot"), COLD])
    (cell,) = cells(dataclasses.replace(CPU_RECORD, measurements=[twice], unmeasured=[]))
    assert cell.flag_names == "cold, throttled"


def test_what_comparisons_do_not_mind_is_a_remark_and_no_flag():
    moved = measured(case(), 1e-3, flags=[Flag("drift", "moved"), COLD])
    (cell,) = cells(dataclasses.replace(CPU_RECORD, measurements=[moved], unmeasured=[]))
    assert [flag.name for flag in cell.flags] == ["cold"]
    assert [flag.name for flag in cell.remarks] == ["drift", "cold"]


def test_looking_up_steps_and_devices():
    everything = cells(GPU_RECORD)
    assert measured_devices(everything) == ["cpu", "cuda"]
    assert measured_devices(cells(CPU_RECORD)) == ["cpu"]
    assert plain_step(everything, "cuda", 64, optimizer="fused").id == "step[cuda-b64-fp32-fused]"
    assert plain_step(everything, "cuda", 2) is None
    assert plain_step(cells(CPU_RECORD), "cuda", 64) is None  # planned, but without a number


def test_a_cell_knows_its_roofline_and_what_takes_its_time():
    cell = by_id(CPU_RECORD)["step[cpu-b64-fp32]"]
    assert cell.roofline.flops == 159_800 * 64
    assert cell.times_above_roofline == pytest.approx(391e-6 / cell.roofline.seconds, rel=1e-6)
    assert cell.share_of_peak == pytest.approx(159_800 * 64 / 391e-6 / cell.roofline.peak_flops_per_second, rel=1e-6)
    assert cell.account.largest == "overhead"
    missing = by_id(CPU_RECORD)["step[cuda-b64-fp32]"]
    assert (missing.roofline, missing.account, missing.times_above_roofline, missing.share_of_peak) == (None,) * 4


def test_without_counts_or_calibrations_there_is_no_roofline():
    for cell in by_id(bare(CPU_RECORD)).values():
        assert (cell.roofline, cell.account, cell.payoff, cell.times_above_roofline, cell.share_of_peak) == (None,) * 5


def test_a_roofline_above_the_time_is_none():
    """Threads wait for one whose core is taken: a short copy then takes a thousand times as long."""
    slow = [
        dataclasses.replace(y, samples_seconds=[8e-3] * 12, after_samples_seconds=[8e-3] * 12)
        if y.name == "copy_cached"
        else y
        for y in CPU_RECORD.calibrations
    ]
    found = by_id(dataclasses.replace(CPU_RECORD, calibrations=slow))
    step, forward = found["step[cpu-b64-fp32]"], found["forward[cpu-b64-fp32]"]
    assert (step.roofline, step.why_no_roofline) == (None, DISTURBED)
    assert step.account is not None  # which needs no calibration
    assert forward.roofline is not None  # which updates nothing
    assert forward.why_no_roofline is None


def test_a_flagged_cell_shows_its_roofline_and_has_no_payoff():
    found = by_id(GPU_RECORD)
    assert found["step[cuda-b64-fp32-compile]"].payoff.steps > 0
    assert found["step[cuda-b64-fp32-compile]"].why_no_payoff is None
    flag = found["step[cuda-b64-bf16-compile]"]
    assert flag.roofline is not None
    assert (flag.payoff, flag.why_no_payoff) == (None, "flagged: cold")
    other = by_id(flagged(GPU_RECORD, "step[cuda-b64-fp32]"))["step[cuda-b64-fp32-compile]"]
    assert (other.payoff, other.why_no_payoff) == (None, "its baseline is flagged: cold")
    alone = by_id(only(GPU_RECORD, "step[cuda-b64-fp32-compile]"))["step[cuda-b64-fp32-compile]"]
    assert (alone.payoff, alone.why_no_payoff) == (None, "not run without the compiler")
    unknown = by_id(bare(GPU_RECORD))["step[cuda-b64-fp32-compile]"]
    assert (unknown.payoff, unknown.why_no_payoff) == (None, "the compile time was not measured")
    eager = found["step[cuda-b64-fp32]"]
    assert (eager.payoff, eager.why_no_payoff) == (None, None)


def test_a_curve_leaves_out_flagged_steps():
    sizes = [1, 4, 16, 64, 256, 1024, 4096, 16384]
    assert list(curve(cells(GPU_RECORD), "cuda")) == sizes
    assert list(curve(cells(flagged(GPU_RECORD, "step[cuda-b64-fp32]")), "cuda")) == [s for s in sizes if s != 64]
    assert list(curve(cells(GPU_RECORD), "cuda", precision="bf16")) == [64, 4096]
    assert curve(cells(GPU_RECORD), "mps") == {}


def test_a_record_is_derived_once_and_another_one_anew():
    assert cells(CPU_RECORD) is cells(CPU_RECORD)
    assert len(cells(CPU_RECORD)) == len(CPU_RECORD.measurements) + len(CPU_RECORD.unmeasured)
    fewer = dataclasses.replace(CPU_RECORD, unmeasured=[])
    assert len(cells(fewer)) == len(CPU_RECORD.measurements)
