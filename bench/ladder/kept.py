"""A ladder's files: what is written while it is climbed, what at its end, and what is needed to go on with it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analyse.ladder import LADDER_FILE, Kept, Ladder
from bench.axes.devices import DEVICES
from bench.errors import USAGE, BenchError
from bench.ladder import show
from bench.record import files, store
from bench.report import later
from bench.report.plot import Plot

SAME = ("machine", "torch", "dataset", "commit", "program")  # what must not have changed to go on


def check_same(kept: Kept, now: Mapping[str, Any], folder: Path) -> None:
    """Raises BenchError where the machine or the program are no longer those of the ladder, or it has ended."""
    if kept.ended:
        raise BenchError(f"{folder}: this ladder has come to its end: see {folder}/ladder.md", USAGE)
    for name in SAME:
        if kept.identity.get(name) != now[name]:
            raise BenchError(f"{folder}: the ladder cannot go on: its {name} is not the same any more", USAGE)


def write_progress(kept: Kept, folder: Path) -> None:
    """What is there so far, without pictures, which take longer than a step; what fails here is met at the end."""
    with contextlib.suppress(BenchError):
        _write(kept, {}, folder)


def write(kept: Kept, pictures: Mapping[str, Plot], folder: Path) -> tuple[Path, str | None]:
    """Writes all files into `folder`, whose pictures of earlier ladders go.

    Returns:
        The folder that has them, and why that is another; what was measured in minutes is worth more than its place.

    Raises:
        BenchError: They cannot be written anywhere.
    """
    try:
        _write(kept, pictures, folder)
    except BenchError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="fcnn-bench-"))
        _write(kept, pictures, elsewhere)
        return elsewhere, f"{error}; the ladder is in {elsewhere}"
    for device in DEVICES:
        if device not in pictures or not pictures[device].svg:
            (folder / show.picture_file(device)).unlink(missing_ok=True)
    return folder, None


def _write(kept: Kept, pictures: Mapping[str, Plot], folder: Path) -> None:
    ladders: Sequence[Ladder] = [*kept.ladders.values()]
    data = {
        "asked": dict(kept.asked),
        "identity": dict(kept.identity),
        "visible_gpus": kept.visible_gpus,
        "ladders": [dataclasses.asdict(ladder) for ladder in ladders],
    }
    with store.staged(folder) as staged:
        files.write_json(staged / LADDER_FILE, data)
        files.write(staged / "ladder.md", show.markdown(ladders, pictures))
        for device, plot in pictures.items():
            if plot.svg:
                files.write(staged / show.picture_file(device), plot.svg)
        section = functools.partial(show.section, ladders, pictures)
        later.insert(folder / "report.html", "ladder", section, staged / "report.html")
