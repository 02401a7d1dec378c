"""`fcnn-bench ladder`: every rung and every peer in a process of its own, then a table and a picture a device."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import console, interruption
from bench.axes.devices import DEVICES
from bench.errors import DONE, USAGE, BenchError
from bench.ladder import show
from bench.ladder.climb import climb
from bench.ladder.model import Ladder
from bench.ladder.picture import picture
from bench.ladder.table import RUNGS, Rung, rows
from bench.profile.destination import destination
from bench.record import files, store
from bench.report import later
from bench.report.plot import Plot
from bench.workers.images import images, requested
from bench.workers.presence import why_unusable


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command line says; the fields are its options."""

    rungs: Sequence[str] | None
    device: Sequence[str] | None
    epochs: int
    data: Path | None
    results: Path
    run: Path | None


def run_ladder(asked: Asked) -> int:
    """Climbs the named rungs, or all, and the peers, on the devices asked for that are here; writes the ladder's files.

    The tutorial is always climbed: all others are told by it. After an interruption the files have what was measured.

    Raises:
        BenchError: There is no such rung, nothing could be measured, or not all that was asked for.
    """
    terminal = console.make()
    wanted = list(asked.device or RUNGS)
    missing = {device: reason for device in wanted if (reason := why_unusable(DEVICES[device]))}
    chosen = {device: _chosen(device, asked.rungs) for device in wanted if device not in missing}
    known = dict.fromkeys(rung.name for device in wanted for rung in rows(device))
    if unknown := [name for name in asked.rungs or () if name not in known]:
        raise BenchError(f"there is no rung {unknown[0]!r}; there are {', '.join(map(repr, known))}", USAGE)
    if not chosen:
        raise BenchError(f"nothing can be measured: {'; '.join(missing.values())}")
    loaded = images("MNIST", asked.data)
    request = requested(loaded, "MNIST", asked.data)
    folder = destination(asked.run, asked.results)
    ladders: list[Ladder] = []
    failures: list[str] = []
    interrupted = False
    with interruption.deferred():  # from the first epoch until all files are written
        try:
            with console.working(terminal) as say:
                for device, rungs in chosen.items():
                    try:
                        ladders.append(climb(device, rungs, loaded, request, asked.epochs, say))
                    except BenchError as error:
                        failures.append(f"{device}: the floor could not be measured: {error}")
                    if ladders and ladders[-1].interrupted:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            interrupted = True
        if not ladders and interrupted:
            raise KeyboardInterrupt
        if not ladders:
            raise BenchError("; ".join(failures))
        pictures = {ladder.device: plot for ladder in ladders if (plot := picture(ladder))}
        try:
            _write(ladders, pictures, folder)
        except BenchError as error:
            # What was measured in minutes is worth more than its place.
            folder = Path(tempfile.mkdtemp(prefix="fcnn-bench-"))
            failures.append(f"{error}; the ladder is in {folder}")
            _write(ladders, pictures, folder)
    for ladder in ladders:
        show.show(ladder, terminal)
    for device, reason in missing.items():
        terminal.print(f"\nNo ladder for {device}: {reason}")
    terminal.print(f"\nladder: {folder}/ladder.md", soft_wrap=True)
    for plot in pictures.values():
        if plot.problem:
            console.error(f"picture {plot.name}: {plot.problem}")
    if interrupted:
        failures.append("interrupted: the ladder has what was measured by then")
    failures += [
        f"{ladder.device}: the tutorial was not measured: {ladder.first.reason}"
        for ladder in ladders
        if not ladder.first.seconds and not interrupted
    ]
    if failures:
        raise BenchError("; ".join(failures))
    return DONE


def _chosen(device: str, names: Sequence[str] | None) -> list[Rung]:
    first, *others = rows(device)
    return [first, *(rung for rung in others if not names or rung.name in names)]


def _write(ladders: Sequence[Ladder], pictures: Mapping[str, Plot], folder: Path) -> None:
    """Writes the files into `folder`, whose pictures of earlier ladders go.

    Raises:
        BenchError: It cannot be written.
    """
    with store.staged(folder) as staged:
        files.write_json(staged / "ladder.json", {"ladders": [dataclasses.asdict(ladder) for ladder in ladders]})
        files.write(staged / "ladder.md", show.markdown(ladders, pictures))
        for device, plot in pictures.items():
            if plot.svg:
                files.write(staged / show.picture_file(device), plot.svg)
        later.insert(folder / "report.html", "ladder", show.section(ladders, pictures), staged / "report.html")
    for device in RUNGS:
        if device not in pictures or not pictures[device].svg:
            (folder / show.picture_file(device)).unlink(missing_ok=True)
