"""The CPU beside a GPU: how many threads it computes best with, and whether a GPU in sight costs it time.

A host with a GPU has many cores, and a network this small is slower on all of them than on a few: compared at its
default, the CPU would lose for a reason that is not the GPU's. Imports no torch: what needs it is asked of workers.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.axes.case import Case, case_id
from bench.record.journal import digits
from bench.record.store import RECORD_FILE
from bench.workers.conversation import WorkerError
from bench.workers.start import Workers

LIMIT_SECONDS = 60.0
CLOSE = 1.05  # times the fastest count's time, and a smaller count is as good
# The same for the count of the machine's last run: runs with different threads cannot be compared, and the fastest
# count of two that are nearly alike is a matter of chance.
STILL_CLOSE = 1.15
CHOSEN = "cpu_threads_chosen"
WITH_GPU, WITHOUT_GPU = "cpu_optimizer_seconds", "cpu_optimizer_gpu_hidden_seconds"
LEAST_RATIO, LARGEST_RATIO = "cpu_optimizer_gpu_ratio_least", "cpu_optimizer_gpu_ratio_largest"
# Two processes differ by more than the rounds of one: single pairs on one machine gave a ratio of 1.4 and one of 0.88.
# All threads of a host with 16 cores made that 0.90 to 1.77 over four pairs; what is looked for, torch's asking for the
# stream, is Python's on one thread.
THREADS, PAIRS, ROUNDS, BLOCK_SECONDS, LEAD_SECONDS = 1, 6, 5, 6e-3, 5e-3


def threads(seconds: Mapping[int, Sequence[float]], last: int | None = None) -> int:
    """The count with the least time, as the geometric mean over the batch sizes, or a close one.

    Args:
        seconds: By count, those of a step of each batch size; at least one count.
        last: The count of the machine's last run.
    """
    means = {count: statistics.geometric_mean(times) for count, times in seconds.items()}
    fastest = min(means.values())
    if last in means and means[last] <= STILL_CLOSE * fastest:
        return last
    return min(count for count, mean in means.items() if mean <= CLOSE * fastest)


def last_threads(results: Path, machine: str) -> int | None:
    """What the newest record of the machine was measured with, where a run chose it; None if none is there."""
    paths = sorted((results / machine).glob(f"*/{RECORD_FILE}"), reverse=True)
    try:
        chosen = json.loads(paths[0].read_text("utf-8"))["environment"]["settings"].get(CHOSEN)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return chosen if isinstance(chosen, int) else None


def chosen_threads(worker: Any, results: Path, machine: str) -> dict[str, Any]:
    """The chosen count, by which times, as settings for the record; empty where the environment names a count."""
    answer = worker.ask("thread_seconds", LIMIT_SECONDS)
    if not answer["seconds"]:
        return {}
    seconds = {int(count): times for count, times in answer["seconds"].items()}
    return {
        CHOSEN: threads(seconds, last_threads(results, machine)),
        **{f"cpu_{count}_threads_b{batch}_step_seconds": digits(one)
           for count, times in seconds.items()
           for batch, one in zip(answer["batches"], times, strict=True)},
    }  # fmt: skip


def cost_of_gpu(workers: Workers) -> dict[str, Any]:
    """Adam's update on one thread of the CPU, in processes that use the GPU as well and in ones that do not see it.

    Torch asks for the accelerator's stream in every `optimizer.step`, also of a model on the CPU. The two of a pair of
    processes take turns.

    Returns:
        Settings for the record: the medians of the processes' medians in seconds, and the least and the largest ratio
        of a pair's; or why they are not known.
    """
    case = Case(workload="optimizer", threads=THREADS)
    pairs = []
    try:
        for _ in range(PAIRS):
            with workers.start("the GPU's user") as seeing, workers.start("what sees no GPU") as blind:
                blind.ask("hide_gpus")
                seeing.ask("try_devices")
                pairs.append(_in_turns(case, [seeing, blind]))
    except WorkerError as error:
        return {WITH_GPU: f"not known: {error}"}
    seen, hidden = (statistics.median(one) for one in zip(*pairs, strict=True))
    ratios = [one / other for one, other in pairs]
    costs = {WITH_GPU: seen, WITHOUT_GPU: hidden, LEAST_RATIO: min(ratios), LARGEST_RATIO: max(ratios)}
    return {name: digits(value) for name, value in costs.items()}


def _in_turns(case: Case, workers: Sequence[Any]) -> list[float]:
    id, seconds = case_id(case), [list[float]() for _ in workers]
    prepared = [worker.ask("prepare", LIMIT_SECONDS, id=id, case=dataclasses.asdict(case)) for worker in workers]
    repetitions = max(1, math.ceil(BLOCK_SECONDS / max(1e-9, *(p["repetition_seconds"] for p in prepared))))
    for _ in range(ROUNDS):
        for worker, samples in zip(workers, seconds, strict=True):
            turn = worker.ask("turn", LIMIT_SECONDS, id=id, repetitions=repetitions, lead_seconds=LEAD_SECONDS)
            samples.append(turn[0])
    return [statistics.median(samples) for samples in seconds]
