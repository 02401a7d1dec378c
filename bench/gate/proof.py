"""Which way of making a pair errs least: `python -m bench.gate.proof`, some minutes; the program against itself.

Forked workers on one core, as the gate has them; the same left to the system's scheduler; and workers that each import
torch in a process of their own. They take turns, so that a neighbour meets all alike.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import command
from bench.errors import DONE
from bench.gate import paired
from bench.gate.check import STEP_IMAGES, gate_case, save_images
from bench.gate.sides import Side
from bench.gate.trees import program_of
from bench.measure import facts
from bench.record import files
from bench.workers.forge import Forge, Worker
from bench.workers.images import images as load_images

WAYS = ("forked, one core", "forked, any core", "separate imports, one core")


class Separate:
    """Stands for a forge whose every worker is forked from a process of its own."""

    def __init__(self, images: Path) -> None:
        self._images = images

    @contextlib.contextmanager
    def worker(self, called: str = "the worker") -> Iterator[Worker]:
        """A worker whose torch was imported for it alone."""
        with Forge({"file": str(self._images)}, passive=True) as forge, forge.worker(called) as worker:
            yield worker


def main(words: Sequence[str] | None = None) -> int:
    """Writes every pair's log ratio and seconds, and prints the scatter of each way."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate.proof", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--pairs", type=int, default=40, metavar="N", help="of each way (40)")
    parser.add_argument("--output", type=Path, default=Path("pairs.json"), metavar="FILE", help="(pairs.json)")
    options = parser.parse_args(words)
    images, root = load_images("MNIST", None), Path(__file__).parents[2]
    rng = random.Random()
    by_way: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with files.scratch() as scratch:
        a, b = (program_of(root, scratch / name) for name in ("a", "b"))
        file = save_images(images, scratch, STEP_IMAGES)
        separate = Separate(file)
        with Forge({"file": str(file)}, passive=True) as forge:
            for _ in range(options.pairs):
                for way in WAYS:
                    begin = time.monotonic()
                    workers = separate if way.startswith("separate") else forge
                    pair = paired.measure_pair(
                        Side(workers, a), Side(workers, b), gate_case(), rng, one_core=way.endswith("one core")
                    )
                    by_way[way].append({"log_ratio": pair.log_ratio, "seconds": time.monotonic() - begin})
    files.write_json(options.output, {"machine": facts.machine().label, "pairs": by_way})
    for way, pairs in by_way.items():
        scatter = math.sqrt(statistics.fmean(pair["log_ratio"] ** 2 for pair in pairs))
        print(f"{way}: {scatter:.2%}, {statistics.fmean(pair['seconds'] for pair in pairs):.2f} s a pair")
    return DONE


if __name__ == "__main__":
    sys.exit(command.run(main))
