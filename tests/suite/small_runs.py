"""Runs of the main job in processes of their own, on small images."""

import json
from pathlib import Path

from tests.commands import MAIN, Command

# The workers believe in the small images, and are quick; what would be started afresh is forked.
QUICKLY = """
from bench.suite import costs
from bench.workers import forge, start
costs.START_UPS = 1
forge.FORGE = "tests.suite.small_forge"

def afresh(workers, name, limit_seconds, called, environment=None, /, **more):
    with workers.start(called) as worker:
        return worker.ask(name, limit_seconds, **{"dataset": "", "data": None, **more})

start.Workers.afresh = afresh
"""
FORKED = (
    QUICKLY
    + """
from tests.forked import Forked
forge.Process = Forked
"""
)
LONG = ["run", "--device", "cpu", "--batch", "16", "64", "--budget", "0.05", "--workload", "step", "accuracy",
        "--seeds", "2000"]  # fmt: skip


def start(data, *words: object, folder: Path, code: str = FORKED + MAIN, **options: object) -> Command:
    root, checksums = data
    environment = {"CHECKSUMS": json.dumps(checksums), **options.pop("environment", {})}
    return Command(code, *words, "--data", root, folder=folder, environment=environment, **options)  # type: ignore[arg-type]
