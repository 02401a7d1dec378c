"""Runs of the main job in processes of their own, on small images."""

import json
from pathlib import Path

from tests.commands import MAIN, Command

# The workers believe in the small images, and are quick.
QUICKLY = """
from bench.workers import forge
forge.FORGE = "tests.suite.small_forge"
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
