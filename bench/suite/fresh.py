"""A process of its own that answers one question: `python -m MODULE`, JSON on standard input and on standard output.

Children import this before they know whose `fcnn` they are to look at, so it imports none.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fcnn.data import Images

HARNESS = Path(__file__).parents[2]
EMBEDDED = "embedded"


class FreshError(Exception):
    """A process failed. The message is its last line."""


def ask(module: str, request: dict[str, Any], **environment: str) -> Any:
    """What `module` answers to the request, on the last line that it prints.

    Args:
        module: Run with this harness as its folder, so that paths in the request are absolute.
        request: What it reads.
        environment: Variables beside those of this process.

    Raises:
        FreshError: It failed, or answered nothing.
    """
    run = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request), capture_output=True, text=True, cwd=HARNESS, env={**os.environ, **environment},
        check=False,
    )  # fmt: skip
    if run.returncode == 0 and run.stdout.strip():
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(run.stdout.strip().splitlines()[-1])
    raise FreshError((run.stderr.strip().splitlines() or ["it said nothing"])[-1])


def requested(images: Images, dataset: str, data: Path | None) -> dict[str, str]:
    """For a request: which images, those that this process has found and the child need not look for again."""
    from fcnn.source import data_root

    return {"dataset": EMBEDDED if images.fallback_reason else dataset, "data": str(data_root(data).resolve())}


def load(dataset: str, data: str) -> Images:
    """The images of a request."""
    from fcnn.data import embedded_images, load_images

    if dataset == EMBEDDED:
        return embedded_images("this machine has no others")
    return load_images(dataset, Path(data))
