"""`fcnn-bench ladder`: every rung and every peer in a process of its own, then a table and a picture a device."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.axes.devices import DEVICES
from bench.ladder import show
from bench.ladder.climb import climb
from bench.ladder.show import Ladder
from bench.ladder.table import RUNGS, rows
from bench.measure import facts, settings
from bench.record import store
from bench.report import later
from bench.suite.fresh import FreshError, requested
from fcnn.data import DataError, load_images

DONE, USAGE, BROKEN = 0, 2, 3


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

    The tutorial is always climbed: all others are told by it.
    """
    console = Console(highlight=False)
    wanted = asked.device or list(RUNGS)
    missing = {device: reason for device in wanted if (reason := DEVICES[device].why_missing())}
    devices = [device for device in wanted if device not in missing]
    known = dict.fromkeys(rung.name for device in wanted for rung in rows(device))
    if unknown := [name for name in asked.rungs or () if name not in known]:
        there = ", ".join(map(repr, known))
        print(f"fcnn-bench: there is no rung {unknown[0]!r}; there are {there}", file=sys.stderr)
        return USAGE
    if not devices:
        print(f"fcnn-bench: nothing can be measured: {'; '.join(missing.values())}", file=sys.stderr)
        return BROKEN
    try:
        settings.use_threads(settings.default_threads())
        images = load_images("MNIST", asked.data)
        folder = asked.run or store.newest_run(asked.results, facts.machine(list(RUNGS)).slug)
        folder = folder or asked.results / "ladder"
        with store.staged(folder) as staged, console.status("") as status:
            found = []
            for device in devices:
                first, *others = rows(device)
                chosen = [first, *(rung for rung in others if not asked.rungs or rung.name in asked.rungs)]

                def say(name: str, device: str = device) -> None:
                    status.update(f"{device}: {name} ...")

                request = requested(images, "MNIST", asked.data)
                found.append(climb(device, chosen, images, request, asked.epochs, say))
            _write(found, folder, staged)
    except DataError as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return USAGE
    except FreshError as error:
        print(f"fcnn-bench: the floor could not be measured: {error}", file=sys.stderr)
        return BROKEN
    except OSError as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return BROKEN
    for ladder in found:
        show.show(ladder, console)
    for device, reason in missing.items():
        console.print(f"\nNo ladder for {device}: {reason}", markup=False)
    console.print(f"\nladder: {folder}/ladder.md", soft_wrap=True)
    return DONE if all(ladder.first.seconds for ladder in found) else BROKEN


def _write(found: list[Ladder], folder: Path, staged: Path) -> None:
    text = json.dumps({"ladders": [dataclasses.asdict(ladder) for ladder in found]}, indent=1, allow_nan=False)
    (staged / "ladder.json").write_text(text + "\n", "utf-8")
    (staged / "ladder.md").write_text(show.markdown(found), "utf-8")
    for ladder in found:
        (staged / show.picture_file(ladder)).write_text(show.picture(ladder), "utf-8")
    later.insert(folder / "report.html", "ladder", show.section(found), staged / "report.html")
