"""Makes a reference distribution of accuracies: `python -m bench.gate.reference`, a few minutes.

Run it on code that is known to be right, and commit the file: every later change is judged against it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from bench import command
from bench.errors import DONE
from bench.gate.accuracy import EPOCHS, REFERENCE_FOLDER, Reference
from bench.gate.check import sides_with
from bench.gate.trees import Trees
from bench.measure import facts
from bench.record import files
from bench.workers.conversation import LIMIT_SECONDS
from bench.workers.images import images as load_images
from fcnn.data import Images, embedded_images

WORKERS = 2


def accuracies(images: Images, tree: Path, seeds: list[int]) -> list[float]:
    """Test accuracies of the `fcnn` in `tree`, a seed each."""
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(files.scratch())
        of = stack.enter_context(sides_with(images, scratch, Trees(tree, tree, ""), whole=True))
        workers = [stack.enter_context(of.candidate.worker()) for _ in range(WORKERS)]
        for number, worker in enumerate(workers):
            mine = seeds[number::WORKERS]
            worker.begin("train", seeds=mine, batch_size=64, epochs=EPOCHS[images.name], threads=1)
        by_seed = dict.fromkeys(seeds, 0.0)
        for number, worker in enumerate(workers):
            mine = seeds[number::WORKERS]
            by_seed |= zip(mine, worker.end(len(mine) * EPOCHS[images.name] * LIMIT_SECONDS), strict=True)
    return [by_seed[seed] for seed in seeds]


def main(words: Sequence[str] | None = None) -> int:
    """Writes a file per dataset."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gate.reference", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--seeds", type=int, default=120, metavar="N", help="(120)")
    parser.add_argument("--output", type=Path, default=REFERENCE_FOLDER, metavar="DIR", help=f"({REFERENCE_FOLDER})")
    options = parser.parse_args(words)
    root = Path(__file__).parents[2]
    options.output.mkdir(parents=True, exist_ok=True)
    for images in (load_images("MNIST", None), embedded_images("asked for")):
        seeds = list(range(1000, 1000 + options.seeds))  # not those that a check trains from
        made_with = {
            "torch": torch.__version__,
            "machine": facts.machine().label,
            "commit": dataclasses.asdict(commit) if (commit := facts.commit()) else None,
        }
        reference = Reference(
            images.name, images.sha256, EPOCHS[images.name], seeds, accuracies(images, root, seeds), made_with
        )
        path = options.output / f"{images.name.lower()}.json"
        files.write_json(path, dataclasses.asdict(reference))
        print(f"{path}: mean {reference.mean:.4f}, standard deviation {reference.deviation:.4f}, {len(seeds)} seeds")
    return DONE


if __name__ == "__main__":
    sys.exit(command.run(main))
