import dataclasses

import pytest

from bench.record.before import Earlier
from bench.report.sentences import findings
from tests.data.measurements import ROUNDS, case, measured
from tests.data.records import (
    ACCURACY,
    AMP_ACCURACY,
    CPU_RECORD,
    FALLBACK_RECORD,
    GPU_RECORD,
    flagged,
    only,
)


def said(*records):
    return {finding.topic: " ".join(finding.sentences) for finding in findings(records)}


@pytest.mark.parametrize(
    "records", [[CPU_RECORD], [GPU_RECORD], [CPU_RECORD, GPU_RECORD]], ids=["cpu", "gpu", "cpu beside gpu"]
)
def test_the_whole_summary(records, snapshot):
    text = []
    for finding in findings(records):
        text += ["", finding.topic, *(f"  {sentence}" for sentence in finding.sentences)]
    assert "\n".join(text) == snapshot


def test_across_machines_both_are_named():
    sentences = said(CPU_RECORD, GPU_RECORD)
    for topic in ("CPU or GPU", "Crossover"):
        for record in (CPU_RECORD, GPU_RECORD):
            assert record.machine.label in sentences[topic]
            assert record.machine.label not in said(GPU_RECORD)[topic]


def test_other_images_are_never_compared():
    text = said(FALLBACK_RECORD, GPU_RECORD)["CPU or GPU"]
    assert "They are not compared with this run, since the images are not the same: 5,000 MNIST images" in text
    assert "as long" not in text


def test_other_timing_rules_are_never_compared():
    text = said(CPU_RECORD, dataclasses.replace(GPU_RECORD, timing_rule_version=1))["CPU or GPU"]
    assert text.endswith("not compared with this run, since they differ in timing_rule_version: 2 against 1.")


def test_a_flagged_step_is_told_and_not_judged():
    sentences = said(flagged(GPU_RECORD, "step[cuda-b64-fp32]"))
    assert "images per second (flagged: cold)." in sentences["Training step"]
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
        (0.3, "takes 0.81× as long (0.80 to 0.82)"),
    ],
)
def test_a_loader_that_is_not_slower(loader, text):
    resident = next(m for m in CPU_RECORD.measurements if m.id == "epoch[cpu-b64-fp32]")
    quick = measured(case("epoch", feed="loader"), loader, n=6)
    record = dataclasses.replace(CPU_RECORD, measurements=[quick, resident], unmeasured=[])
    assert text in said(record)["Data feed"]


def test_a_flagged_epoch_is_not_judged():
    text = said(flagged(CPU_RECORD, "epoch[cpu-b64-fp32-loader]"))["Data feed"]
    assert text.endswith("take 2.55 s against 372 ms; not compared (its baseline is flagged: cold).")


def test_a_target_that_no_seed_reaches():
    never = dataclasses.replace(ACCURACY, seeds=[0], test_accuracy_fraction=[0.91], train_accuracy_fraction=[0.9],
                                seconds_to_target=[None])  # fmt: skip
    record = dataclasses.replace(CPU_RECORD, measurements=[measured(case("accuracy"), 0.4, n=1, accuracy=never)])
    # Neither an interval of one seed nor the time of what did not happen.
    assert said(record)["Accuracy"].endswith(
        ", 1 seed: a mean test accuracy of 91.00%. 0 of 1 reached 93% within 3 epochs, tested along the way."
    )


def test_flagged_training_times_do_not_touch_the_accuracy():
    text = said(flagged(CPU_RECORD, "accuracy[cpu-b64-fp32]"))["Accuracy"]
    assert "a mean test accuracy of 93.07% (92.86 to 93.28%). 4 of 5 reached" in text
    assert "366 ms of training (times flagged: cold)." in text


def test_feeds_are_told_of_batch_64_and_otherwise_of_what_there_is():
    large = [measured(case("epoch", batch=1024, feed=feed), 1.0, n=6) for feed in ("loader", "resident")]
    both = dataclasses.replace(CPU_RECORD, measurements=[*CPU_RECORD.measurements, *large])
    assert said(both)["Data feed"] == said(CPU_RECORD)["Data feed"]
    assert "1.00 s" in said(dataclasses.replace(CPU_RECORD, measurements=large))["Data feed"]


def test_only_a_gpu_makes_no_claim_about_the_cpu():
    assert "CPU or GPU" not in said(only(GPU_RECORD, "step[cuda-b64-fp32]"))


def test_no_crossover_without_a_comparison():
    assert "Crossover" not in said(CPU_RECORD)
    assert "Crossover" not in said(FALLBACK_RECORD, GPU_RECORD)
    # Flagged steps take part in none, and two are too few for a curve.
    both = [f"step[{device}-b{batch}-fp32]" for device in ("cpu", "cuda") for batch in (1, 64, 16384)]
    few = only(GPU_RECORD, *both)
    assert "Crossover" in said(few)
    assert "Crossover" not in said(flagged(few, "step[cuda-b64-fp32]"))


def test_an_accelerator_is_judged_with_each_of_its_feeds():
    """From host memory the GPU never wins, since the batches are copied; from its own it does, and both are told."""
    times = {("cpu", "resident"): 1.0, ("cuda", "resident"): 1.5, ("cuda", "device"): 0.5}
    steps = [
        measured(case(device=device, batch=batch, feed=feed), factor * 2e-5 * batch**0.75)
        for (device, feed), factor in times.items()
        for batch in (64, 1024, 16384)
    ]
    record = dataclasses.replace(GPU_RECORD, measurements=steps, unmeasured=[])
    told = said(record)
    inside, outside = "With the images in the device's memory, ", "With each batch copied from host memory, "
    assert told["CPU or GPU"].startswith(f"{inside}at batch 64 the GPU is the faster: a step on the CPU takes 2.00× ")
    assert f"{outside}at batch 64 the CPU is the faster: a step on the GPU takes 1.50×" in told["CPU or GPU"]
    assert told["Crossover"] == (
        f"{inside}no crossover in the range: the GPU is faster than the CPU at every batch size measured. "
        f"{outside}no crossover in the range: the CPU is faster than the GPU at every batch size measured."
    )


def test_modes_cross_where_three_batch_sizes_are_common():
    plain = {64: 4e-4, 1024: 2e-3, 16384: 33e-3}
    modes = {
        "precision": ("bf16", {64: 5e-4, 1024: 2e-3, 16384: 30e-3}),
        "compiler": ("default", {64: 3e-4, 1024: 1.8e-3}),
    }
    steps = [measured(case(batch=batch), seconds) for batch, seconds in plain.items()]
    for axis, (choice, times) in modes.items():
        steps += [measured(case(batch=batch, **{axis: choice}), seconds) for batch, seconds in times.items()]
    text = said(dataclasses.replace(CPU_RECORD, measurements=steps, unmeasured=[]))["Crossover"]
    assert text.startswith("On the CPU, bf16 is faster than eager fp32 from a batch of about ")
    assert "torch.compile" not in text


def test_compiling_that_makes_it_slower_never_pays():
    slower = [measured(case(), 4e-4), measured(case(compiler="default"), 5e-4)]
    text = said(dataclasses.replace(CPU_RECORD, measurements=slower))["torch.compile"]
    assert text.endswith("compiling takes 8.4 s from cold and is not won back: the compiled step is slower.")


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


@pytest.mark.parametrize(
    ("earlier", "text"),
    [
        (None, "It is the first run of this case on this machine: on another day the whole machine may be faster"),
        (Earlier(1, 4e-4, 4e-4), "One earlier run of this machine saw 400 µs."),
        (Earlier(12, 463e-6, 875e-6), "12 earlier runs of this machine saw 463 to 875 µs: so far a time moves"),
    ],
)
def test_an_absolute_time_says_how_far_it_holds(earlier, text):
    one = measured(case(), 4e-4, earlier=earlier)
    found = said(dataclasses.replace(CPU_RECORD, measurements=[one], unmeasured=[]))["Training step"]
    assert found.startswith("In this run, a step of 64 images in fp32 took 400")
    assert text in found


def test_disturbed_rounds_are_told():
    disturbed = [dataclasses.replace(r, disturbed="others were busy" if r.number < 4 else None) for r in ROUNDS]
    text = said(dataclasses.replace(CPU_RECORD, rounds=disturbed))["Measured"]
    assert "4 of 57 rounds, 2% of their time, were disturbed, mostly since others were busy;" in text
