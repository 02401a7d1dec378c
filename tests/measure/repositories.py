"""Small repositories for tests, made with none of the surrounding ones' settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def run(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


def commit(root: Path, message: str) -> str:
    run(root, "add", "-A")
    run(root, "commit", "-q", "--no-verify", "--allow-empty", "-m", message)
    return run(root, "rev-parse", "HEAD")


def make_repository(root: Path) -> Path:
    (root / "fcnn").mkdir(parents=True)
    (root / "fcnn" / "train.py").write_text("VERSION = 1\n")
    (root / "fcnn" / "model.py").write_text("")
    run(root, "init", "-q", "-b", "main")
    commit(root, "first")
    return root
