import dataclasses

import pytest

from bench.record.measurement import Compilation
from bench.report.headlines import answer, headlines
from tests.data.measurements import case, measured
from tests.data.records import CPU_RECORD, GPU_RECORD, flagged, only


def topics(record):
    return dict(headlines(record))


def of(*measurements):
    return dataclasses.replace(CPU_RECORD, measurements=list(measurements), unmeasured=[])


@pytest.mark.parametrize("record", [CPU_RECORD, GPU_RECORD], ids=["cpu", "gpu"])
def test_the_whole_first_screen(record, snapshot):
    assert "\n".join([*answer(record), *(f"{topic}: {text}" for topic, text in headlines(record))]) == snapshot


def test_the_answer_is_of_this_run_and_says_why_there_is_no_gpu():
    fast, where = answer(CPU_RECORD)
    assert fast.startswith(
        "In this run, a training step of 64 images took, undisturbed, 391 µs (386 to 397) on the CPU, and an epoch "
        "2.55 s (2.51 to 2.59) with the tutorial's DataLoader and 372 ms"
    )
    assert where.startswith("Whether a GPU would be faster, this run cannot tell: no CUDA GPU here (torch.cuda")
    assert where.endswith("then show both: fcnn-bench report HERE/record.json THERE/record.json.")
    assert answer(of(measured(case(), 4e-4)))[1].endswith("THERE/record.json.")


def test_a_gpu_is_judged_at_the_usual_batch_and_by_where_it_gets_ahead():
    _, where = answer(GPU_RECORD)
    assert where.startswith("At batch 64 the CPU is the faster: a step on the GPU takes 1.29× as long (1.28 to 1.31). ")
    assert "The GPU is faster than the CPU from a batch of about" in where


def test_a_gpu_that_is_behind_with_a_plain_step_may_be_ahead_with_another():
    ahead = (
        "With torch.compile (reduce-overhead), the GPU overtakes the plain step on the CPU at batch 64: 2.44× as fast"
    )
    assert ahead in answer(GPU_RECORD)[1]
    slow = [
        measured(case(), 4e-3),
        measured(case(device="cuda"), 4e-4),
        measured(case(device="cuda", precision="bf16"), 2e-4),
    ]
    assert "overtakes" not in answer(dataclasses.replace(GPU_RECORD, measurements=slow, unmeasured=[]))[1]


def test_a_gpus_steps_are_told_with_where_their_images_lie():
    times = {("cpu", "resident"): 4e-4, ("cuda", "resident"): 8e-4, ("cuda", "device"): 6e-4}
    steps = [measured(case(device=device, feed=feed), time) for (device, feed), time in times.items()]
    fast, where = answer(dataclasses.replace(GPU_RECORD, measurements=steps, unmeasured=[]))
    assert fast.endswith("on the CPU and 800 µs (789 to 811) on the GPU with each batch copied from host memory.")
    assert where == (
        "At batch 64 the CPU is the faster: a step on the GPU takes 1.50× as long (1.48 to 1.52) with the images in "
        "the device's memory; 2.00× as long (1.97 to 2.03) with each batch copied from host memory."
    )


def test_without_a_number_there_is_no_answer_and_nothing_to_take_away():
    none = dataclasses.replace(CPU_RECORD, measurements=[])
    assert len(answer(none)) == 1
    assert set(topics(none)) == {"torch.compile"}


def test_the_fastest_step_says_what_was_changed_and_by_how_much_it_is_faster():
    assert topics(CPU_RECORD)["Then"] == (
        "a step of 64 images is fastest with fused Adam (torch.optim.Adam(..., fused=True)): 275 µs (271 to 279) on "
        "the CPU, 1.42× as fast (1.40 to 1.44) as the plain step there."
    )
    plain = only(CPU_RECORD, "step[cpu-b64-fp32]", "step[cpu-b64-bf16]")
    assert topics(plain)["Change first"].startswith("nothing that was tried makes a step of 64 images faster")
    assert "Then" not in topics(only(CPU_RECORD, "epoch[cpu-b64-fp32]"))


def test_a_flagged_step_is_not_the_fastest():
    text = topics(flagged(CPU_RECORD, "step[cpu-b64-fp32-fused]"))["Then"]
    assert "fused" not in text


def test_whether_compiling_pays_or_how_to_find_out():
    assert "1.04× as fast (1.03 to 1.06) and takes 9.10 s once, which pays after" in topics(CPU_RECORD)["torch.compile"]
    assert topics(of(measured(case(), 4e-4)))["torch.compile"] == (
        "not measured in this run. With and without it: fcnn-bench run --compile off default"
    )


def test_number_formats_are_told_at_the_smallest_and_at_the_largest_batch():
    assert topics(CPU_RECORD)["Number formats"] == (
        "On the CPU, bf16 is 1.31× slower (1.29 to 1.33) at batch 64 and 4,096."
    )
    assert "Number formats" not in topics(of(measured(case(), 4e-4)))


def test_what_loading_costs_and_how_much_of_it_is_waiting():
    assert topics(CPU_RECORD)["Change first"].endswith(
        "an epoch on the CPU takes 372 ms in place of 2.55 s, 6.85× as fast (6.76 to 6.95) as with the tutorial's "
        "DataLoader, which spends 82% of its time waiting for batches."
    )
    assert "Change first" not in topics(only(CPU_RECORD, "epoch[cpu-b64-fp32]"))
    no_better = [measured(case("epoch", feed=feed), 0.5, n=6) for feed in ("resident", "loader")]
    assert "Change first" not in topics(of(*no_better))


def test_the_epoch_of_the_answer_is_of_the_usual_batch():
    large = measured(case("epoch", batch=1024), 0.1, n=6)
    record = dataclasses.replace(CPU_RECORD, measurements=[*CPU_RECORD.measurements, large])
    assert "DataLoader and 372 ms" in answer(record)[0]


def test_compiling_that_makes_it_slower_is_told_so():
    both = [measured(case(), 4e-4), measured(case(compiler="default"), 8e-4)]
    assert "it makes a step of 64 images on the CPU 2.00× slower (" in topics(of(*both))["torch.compile"]


def test_compiling_that_does_nothing_for_certain_is_told_so():
    same = {"compilation": Compilation(3.0, 1, [], [], [])}
    both = [measured(case(), 4e-4), measured(case(compiler="default"), 4e-4, **same)]
    assert topics(of(*both))["torch.compile"].startswith(
        "it makes no clear difference to a step of 64 images on the CPU and takes 3.00 s once: 1.00× as fast ("
    )
