"""What is said of a host with GPUs."""

import dataclasses

from bench.report import host
from bench.report.sentences import findings
from tests.data.records import CPU_RECORD


def with_settings(**settings):
    record = CPU_RECORD
    return dataclasses.replace(
        record, environment={**record.environment, "settings": {**record.environment["settings"], **settings}}
    )


def update(seen, hidden, least, largest):
    """The settings about Adam's update with the GPU in sight and without it."""
    return {
        "cpu_optimizer_seconds": seen,
        "cpu_optimizer_gpu_hidden_seconds": hidden,
        "cpu_optimizer_gpu_ratio_least": least,
        "cpu_optimizer_gpu_ratio_largest": largest,
    }


def test_beside_a_gpu_the_cpus_threads_are_said_and_what_the_gpu_in_sight_costs():
    chosen = {
        "cpu_threads_chosen": 4,
        "cpu_4_threads_b64_step_seconds": 5e-4,
        "cpu_16_threads_b4096_step_seconds": 1e-2,
    }
    said = host.sentences(with_settings(**chosen, **update(1.5e-4, 1.2e-4, 1.2, 1.3)))
    assert said == [
        "The CPU computes with 4 threads: of 4, 16, that is the fastest count, or one close to it, over steps of 64 "
        "and 4,096 images. --threads names another.",
        "The GPU in sight costs a CPU's step 30.0 µs: Adam's update takes 150 µs on the CPU, and 120 µs with "
        "CUDA_VISIBLE_DEVICES= (no GPU seen); torch asks for the GPU's stream in it.",
    ]


def test_a_gpu_in_sight_that_costs_nothing_is_said_so_and_without_one_nothing_is():
    (said,) = host.sentences(with_settings(**update(1.2e-4, 1.19e-4, 0.9, 1.02)))
    assert said.startswith("The GPU in sight costs the CPU's cases nothing that shows: ")
    assert host.sentences(CPU_RECORD) == []
    assert host.sentences(with_settings(cpu_optimizer_seconds="not known: it died")) == []


def test_processes_that_do_not_agree_on_the_cost_of_a_gpu_tell_nothing_nor_does_a_single_pair():
    assert host.sentences(with_settings(**update(4.3e-4, 4.9e-4, 0.88, 1.4))) == [
        "Whether the GPU in sight costs the CPU's cases time cannot be told here: in pairs of processes, Adam's update "
        "takes 0.88 to 1.40 times as long on the CPU as with CUDA_VISIBLE_DEVICES= (no GPU seen)."
    ]
    single = {"cpu_optimizer_seconds": 1.5e-4, "cpu_optimizer_gpu_hidden_seconds": 1.2e-4}
    assert host.sentences(with_settings(**single)) == []


def test_of_several_gpus_it_is_said_which_was_used():
    several = {"cuda_visible_gpus": 2, "cuda_used": "cuda:0 GPU A", "cuda_not_used": "cuda:1 GPU B"}
    hardware = {**CPU_RECORD.environment["hardware"], **several}
    record = dataclasses.replace(CPU_RECORD, environment={**CPU_RECORD.environment, "hardware": hardware})
    assert host.sentences(record) == [
        "Of 2 GPUs, cuda:0 GPU A was used, and not cuda:1 GPU B: --device names another by its number."
    ]


def test_it_stands_in_the_summary():
    record = with_settings(cpu_threads_chosen=4, cpu_4_threads_b64_step_seconds=5e-4)
    (finding,) = (finding for finding in findings([record]) if finding.topic == "Host")
    assert finding.sentences == host.sentences(record)
