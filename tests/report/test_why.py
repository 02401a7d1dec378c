import dataclasses

from bench.analyse.cells import cells, plain_step
from bench.record.before import EarlierLadder
from bench.record.measurement import Breakdown
from bench.record.model import Calibration
from bench.report.why import earlier_ladder, helps, larger, verdict, why
from tests.data.measurements import case, measured
from tests.data.records import CPU_RECORD, GPU_RECORD, flagged, only

STEP = "A step"
SPENT = {"product": 0.0, "other": 0.0, "rest": 0.0}


def said(record):
    return " ".join(why(cells(record)))


def of(breakdown, **axes):
    """What is said of a step of 1 ms with this breakdown."""
    record = dataclasses.replace(GPU_RECORD, measurements=[measured(case(**axes), 1e-3, breakdown=breakdown)])
    (cell,) = (cell for cell in cells(record) if cell.measurement)
    return verdict(cell, STEP)


def test_the_largest_term_is_named_with_its_share():
    parts = {"forward": 1e-4, "optimizer": 3e-4, "loss": 1e-5}
    assert of(Breakdown(1e-3, 6e-4, parts, {"product": 3e-4, "other": 5e-5, "rest": 5e-5}, SPENT)) == (
        "A step (1.00 ms) is overhead-bound: 60% of it does not depend on the number of images, 600 µs per step "
        "(optimizer 439 µs, forward 146 µs, the rest 14.6 µs), which is Python and 63 calls of operators."
    )
    assert "is compute-bound: 70% of it is spent in matrix" in of(
        Breakdown(1e-3, 2e-4, {}, {"product": 7e-4, "other": 5e-5, "rest": 5e-5}, SPENT)
    )
    assert "is bound by memory traffic: 55% of it" in of(
        Breakdown(1e-3, 2e-4, {}, {"product": 2e-4, "other": 5.5e-4, "rest": 5e-5}, SPENT)
    )


def test_page_faults_are_told_where_they_take_some_of_the_time():
    work = {"product": 7e-4, "other": 5e-5, "rest": 5e-5}
    assert of(Breakdown(1e-3, 2e-4, {}, work, SPENT, 410.2, 1e-4)).endswith(
        " It has 410 page faults a step, which take about 100 µs: it gives memory back to the system and needs it "
        "again. With glibc, MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=33554432 in the environment keeps "
        "it."
    )
    for few in ((10.0, 2e-5), (0.0, 0.0), (None, None)):
        assert "page faults" not in of(Breakdown(1e-3, 2e-4, {}, work, SPENT, *few))


def test_what_takes_nearly_as_much_is_told_too():
    text = of(Breakdown(1e-3, 4.2e-4, {}, {"product": 4.4e-4, "other": 1e-4, "rest": 4e-5}, SPENT))
    assert text.startswith("A step (1.00 ms) is compute-bound: 44% of it is spent in matrix products.")
    assert text.endswith(" Nearly as much, 42%, does not depend on the number of images.")


def test_what_is_not_explained_is_said():
    text = of(Breakdown(1e-3, 5e-4, {}, {"product": 2e-4, "other": 1e-4, "rest": 2e-4}, SPENT))
    assert text.endswith(" 20% is unexplained.")
    text = of(Breakdown(1e-3, 2e-4, {}, {"product": 2e-4, "other": 1e-4, "rest": 5e-4}, SPENT))
    assert text == "A step (1.00 ms) is not explained: 50% of it belongs to none of the known causes."


def test_on_a_gpu_that_waits_for_its_host_both_times_are_told():
    work = {"product": 1e-4, "other": 5e-5, "copy": 0.0}
    text = of(Breakdown(1e-3, 9.9e-4, {}, work, SPENT), device="cuda")
    assert text == (
        "A step (1.00 ms) is launch-bound: 84% of it does not depend on the number of images, 840 µs per step, "
        "which is Python and 63 calls of operators. "
        "The host needs 990 µs for it and the GPU works 150 µs, so the device waits for the host."
    )
    busy = {"product": 8e-4, "other": 1.5e-4, "copy": 0.0}
    assert "is compute-bound: 80%" in of(Breakdown(1e-3, 9e-4, {}, busy, SPENT), device="cuda")


def test_advice_has_a_number_or_says_that_it_was_not_tried():
    everything = cells(CPU_RECORD)
    text = helps(plain_step(everything, "cpu", 64))
    assert text.startswith("Measured in this run: fused Adam takes 116 µs off, 1.42× as fast (1.40 to 1.44); ")
    assert "No help: foreach Adam, no clear difference; bf16, 1.31× slower (1.29 to 1.33)." in text
    assert "Not tried" not in text
    alone = only(CPU_RECORD, "step[cpu-b64-fp32]")
    assert helps(plain_step(cells(alone), "cpu", 64)) == (
        "Not tried here: other number formats, torch.compile, other implementations of Adam."
    )
    slower = only(CPU_RECORD, "step[cpu-b64-fp32]", "step[cpu-b64-bf16]")
    assert helps(plain_step(cells(slower), "cpu", 64)).startswith(
        "Measured in this run, and no help: bf16, 1.31× slower"
    )


def test_what_a_ladder_made_of_the_same_epoch_is_told_with_its_numbers():
    def of_ladder(before):
        record = only(CPU_RECORD, "epoch[cpu-b64-fp32-loader]")
        epoch = dataclasses.replace(record.measurements[0], earlier_ladder=before)
        return earlier_ladder(cells(dataclasses.replace(record, measurements=[epoch]))[0])

    assert of_ladder(EarlierLadder("one function in C", 87.34, {"decoded once": 6.31, "by hand": 1.79})) == (
        "Measured in the newest ladder of this machine: its best step, one function in C, does the same epoch "
        "87.3× as fast; the largest gains, each against the fastest step before it: decoded once 6.3×, by hand 1.8×."
    )
    assert of_ladder(EarlierLadder("workers", 1.05, {})) == (
        "Measured in the newest ladder of this machine: its best step, workers, does the same epoch 1.1× as fast."
    )
    assert of_ladder(None) == ""


def test_nobody_is_told_that_the_loader_does_not_help():
    epoch = plain_step(cells(CPU_RECORD), "cpu", 64, workload="epoch", feed="resident")
    assert "DataLoader" not in helps(epoch)


def test_a_larger_batch_helps_where_overhead_takes_the_most():
    everything = cells(CPU_RECORD)
    step = plain_step(everything, "cpu", 64)
    steps = [plain_step(everything, "cpu", size) for size in (256, 1024, 4096, 16384)]
    best = max(filter(None, steps), key=lambda cell: cell.images_per_second)
    times = best.images_per_second / step.images_per_second
    assert larger(step, everything).startswith(f"A batch of {best.case.batch_size:,} gives {times:.2f}"[:-1])
    assert larger(best, everything) == ""


def test_a_flagged_time_is_marked():
    assert "µs, flagged: cold) is overhead-bound" in said(flagged(CPU_RECORD, "step[cpu-b64-fp32]"))


def test_what_was_not_taken_apart_is_not_explained():
    record = dataclasses.replace(CPU_RECORD, measurements=[measured(case(), 4e-4, breakdown=None)])
    assert said(record) == ""


def test_a_gpus_roofline_is_explained_by_what_sets_it():
    node = Calibration("graph_node", "cuda", "node", 1000.0, [4e-2] * 12)
    missing = Calibration("grid_barrier", "cuda", "barrier", 1.0, [], reason="planted")
    barrier = dataclasses.replace(node, name="grid_barrier", unit="barrier", samples_seconds=[3e-2] * 12)
    for sticks, words in (
        ([node, missing], "launch latency allows (a kernel of a CUDA graph per step) here (grid_barrier is not known"),
        ([node, barrier], "launch latency allows (a barrier of the whole GPU per step) here."),
        ([missing], "arithmetic and the bytes allow here (grid_barrier is not known: planted)."),
    ):
        text = said(dataclasses.replace(GPU_RECORD, calibrations=[*GPU_RECORD.calibrations, *sticks]))
        assert words in text
        assert text.count("the least that the arithmetic and the bytes allow here.") == 1  # of the CPU, once


def test_a_bound_above_the_time_is_not_told():
    slow = [dataclasses.replace(y, samples_seconds=[8e-3] * 12, after_samples_seconds=None) for y in
            CPU_RECORD.calibrations if y.name == "copy_cached"]  # fmt: skip
    rest = [y for y in CPU_RECORD.calibrations if y.name != "copy_cached"]
    text = said(dataclasses.replace(CPU_RECORD, calibrations=rest + slow))
    assert text.count("Its roofline bound is not known: the bound came out above the time itself") == 1
    assert "is overhead-bound" in text
