"""The command line in a process of its own, on the embedded images, that writes down what is under way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import contextlib, pathlib, sys
from bench import console
from bench.ladder import verb as ladder
from bench.profile import verb as profile
from fcnn.data import embedded_images

@contextlib.contextmanager
def working(terminal):
    with pathlib.Path("said").open("a", buffering=1) as said:
        yield lambda what: print(what, file=said)

console.working = working
ladder.images = profile.images = lambda dataset, data: embedded_images("asked for")
{more}
from bench.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(folder: Path, *words: str, more: str = "", **options: object) -> subprocess.Popen[str]:
    """The command in `folder`, where its temporary files are, too, after the lines `more`."""
    command = [sys.executable, "-c", CODE.format(more=more), *words]
    (folder / "tmp").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TMPDIR": str(folder / "tmp")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{"cwd": folder, "env": environment, **pipes, **options})  # type: ignore[call-overload]


def wait_until_said(process: subprocess.Popen[str], folder: Path, what: str) -> None:
    """Returns when `what` is under way, or the process has ended."""
    said = folder / "said"
    while process.poll() is None and not (said.exists() and f"{what}\n" in said.read_text("utf-8")):
        time.sleep(0.05)


def temporary_files(folder: Path) -> list[Path]:
    """What the command has left of them, torch's cache for later runs apart."""
    return [path for path in (folder / "tmp").iterdir() if not path.name.startswith("torchinductor_")]
