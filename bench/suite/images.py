"""The images of a run: found once, and again by the processes that work on the same."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import USAGE, BenchError

if TYPE_CHECKING:
    from fcnn.data import Images

EMBEDDED = "embedded"


@functools.cache
def images(dataset: str, data: Path | None) -> Images:
    """The verified images, loaded once a process; the first work that torch does in a run.

    Raises:
        BenchError: They cannot be had or trusted.
    """
    from bench.measure import settings
    from fcnn.data import DataError, load_images

    settings.use_threads(settings.default_threads())
    try:
        return load_images(dataset, data)
    except DataError as error:
        raise BenchError(str(error), USAGE) from error


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
