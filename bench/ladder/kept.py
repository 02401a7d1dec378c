"""A ladder's files: what is written while it is climbed, what at its end, and what is needed to go on with it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.axes.devices import DEVICES
from bench.errors import USAGE, BenchError
from bench.ladder import show
from bench.ladder.model import Ladder
from bench.record import files, store
from bench.record.typed import converted
from bench.report import later
from bench.report.plot import Plot

LADDER_FILE = "ladder.json"
SAME = ("machine", "torch", "dataset", "commit", "program")  # what must not have changed to go on


@dataclass(frozen=True)
class Kept:
    """What `ladder.json` holds.

    Attributes:
        asked: `rungs` (the steps), `device` and `epochs` as the command line said, the devices those that are here.
        identity: What `SAME` names.
        ladders: By device; of a device that was not begun there is none.
        visible_gpus: As `bench.axes.devices.visible_gpus` told it.
    """

    asked: Mapping[str, Any]
    identity: Mapping[str, Any]
    ladders: Mapping[str, Ladder]
    visible_gpus: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to measure."""
        return all(device in self.ladders and not self.ladders[device].interrupted for device in self.asked["device"])


def read(folder: Path) -> Kept:
    """What the ladder in `folder` has.

    Raises:
        BenchError: There is none, or one that cannot be gone on with.
    """
    path = folder / LADDER_FILE
    data = files.read_json(path)
    try:
        ladders = [converted(Ladder, ladder) for ladder in data["ladders"]]
        by_device = {ladder.device: ladder for ladder in ladders}
        return Kept(data["asked"], data["identity"], by_device, data.get("visible_gpus"))
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"{path}: is no ladder that this program can go on with: {error}", USAGE) from None


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
