"""A process of its own that answers questions: `python -m MODULE`, JSON on standard input and on standard output.

Children import this before they know whose `fcnn` they are to look at, so it imports none.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
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
    raise FreshError(_last_line(run.stderr, run.returncode))


class Conversation:
    """A process that answers one request after another, a line each; a context, at whose end it is killed.

    Args:
        module: As for `ask`.
        environment: Variables beside those of this process.
    """

    def __init__(self, module: str, **environment: str) -> None:
        self._module, self._environment = module, environment

    def __enter__(self) -> Conversation:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, cwd=HARNESS,
            env={**os.environ, **self._environment},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer, an object; other lines are what libraries print.

        Raises:
            FreshError: The process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                if isinstance(found := json.loads(line), dict):
                    return found
        code = self._process.wait()
        self._said.seek(0)
        raise FreshError(_last_line(self._said.read(), code))


def empty_compiler_caches(folder: Path) -> dict[str, str]:
    """Variables with which torch's compilers find nothing that was compiled before, and keep what they make.

    Triton's is named as well, since torch names one for the rest of a process when it first compiles for a GPU.
    """
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "TRITON_CACHE_DIR": str(folder / "triton")}


def _last_line(said: str, code: int) -> str:
    lines = said.strip().splitlines()
    if code < 0:
        return f"it was killed by signal {-code}"  # whatever it said before, that is no reason
    return lines[-1] if lines else "it said nothing"


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
