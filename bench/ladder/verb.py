"""`fcnn-bench ladder`: every step and every peer in a process of its own, then a table and a picture per device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bench import console, interruption
from bench.analyse.ladder import Kept, Ladder, read_ladders
from bench.axes.devices import DEVICES, see_again, visible_gpus
from bench.errors import DONE, USAGE, BenchError
from bench.ladder import climb, kept, show
from bench.ladder.picture import picture
from bench.ladder.table import PEERS, STEPS, LadderRow, rows
from bench.measure import facts
from bench.profile.destination import destination
from bench.record import files
from bench.report.units import duration
from bench.suite.header import identity
from bench.text import counted
from bench.workers.images import images, requested
from bench.workers.presence import why_unusable
from fcnn.data import Images


@dataclasses.dataclass(frozen=True)
class LadderOptions:
    """What the command line says; the fields are its options."""

    steps: Sequence[str] | None
    device: Sequence[str] | None
    epochs: int
    data: Path | None
    results: Path
    run: Path | None
    resume: Path | None


def run_ladder(options: LadderOptions) -> int:
    """Climbs the named steps, or all, and the peers, on the devices asked for that are here; writes the ladder's files.

    The tutorial is always climbed: all others are told by it. What was measured is written after every step and every
    round, and after an interruption `--resume` goes on with it.

    Raises:
        BenchError: There is no such step, nothing could be measured, or not all that was asked for.
    """
    terminal = console.make()
    begun = read_ladders(options.resume) if options.resume else None
    if begun:
        before = begun.asked
        options = dataclasses.replace(options, steps=before["rungs"], device=before["device"], epochs=before["epochs"])
        see_again(begun.visible_gpus)
    wanted = list(options.device or STEPS)
    missing = {device: reason for device in wanted if (reason := why_unusable(DEVICES[device], by_several=True))}
    here = [device for device in wanted if device not in missing]
    known = dict.fromkeys(row.name for device in wanted for row in rows(device))
    if unknown := [name for name in options.steps or () if name not in known]:
        raise BenchError(f"there is no ladder step {unknown[0]!r}; there are {', '.join(map(repr, known))}", USAGE)
    if not here:
        raise BenchError(f"nothing can be measured: {'; '.join(missing.values())}")
    loaded = images("MNIST", options.data)
    now = _identity(loaded)
    if begun and options.resume:
        kept.check_same(begun, now, options.resume)
        files.check_writable(options.resume, "--resume")
    folder = options.resume or destination(options.run, options.results)
    ladders = Kept(
        {"rungs": options.steps, "device": here, "epochs": options.epochs},
        now,
        begun.ladders if begun else {},
        visible_gpus(),
    )
    request = requested(loaded, "MNIST", options.data)
    chosen = {
        device: climb.ClimbRequest(device, _chosen(device, options.steps), loaded, request, options.epochs)
        for device in here
    }
    # Interruptions wait from the first epoch until all files are written.
    with files.ignored_by_git(options.results), interruption.deferred():
        ladders, interrupted = _climb(chosen, ladders, folder, terminal)
        pictures = {device: plot for device, ladder in ladders.ladders.items() if (plot := picture(ladder))}
        folder, elsewhere = kept.write(ladders, pictures, folder)
    for ladder in ladders.ladders.values():
        show.show(ladder, terminal)
    for device, reason in missing.items():
        terminal.print(f"\nNo ladder for {device}: {reason}")
    terminal.print(f"\nladder: {folder}/ladder.md", soft_wrap=True)
    for plot in pictures.values():
        if plot.problem:
            console.error(f"picture {plot.name}: {plot.problem}")
    failures = [elsewhere] if elsewhere else []
    if interrupted:
        failures.append(
            f"interrupted: the ladder has what was measured by then; to go on: fcnn-bench ladder --resume {folder}"
        )
    failures += [reason for ladder in ladders.ladders.values() if not interrupted for reason in _failures(ladder)]
    if failures:
        raise BenchError("; ".join(failures))
    return DONE


def _climb(
    chosen: Mapping[str, climb.ClimbRequest], before: Kept, folder: Path, terminal: Console
) -> tuple[Kept, bool]:
    """The ladders of all devices, and whether that was interrupted; raises KeyboardInterrupt if there is none."""
    ladders = dict(before.ladders)
    left = {
        device: request for device, request in chosen.items() if device not in ladders or ladders[device].interrupted
    }
    after = {device: climb.expected_seconds(request, ladders.get(device)) for device, request in left.items()}
    _show_plan(terminal, left, sum(after.values()))
    total = sum(after.values())
    with console.Bar(terminal, total) as bar:
        for device, request in left.items():
            del after[device]

            def say(what: str, left_seconds: float) -> None:
                whole = left_seconds + sum(after.values())
                bar.show(what, f"about {duration(whole)} left", max(0.0, total - whole))

            def save(ladder: Ladder, device: str = device) -> None:
                kept.write_progress(dataclasses.replace(before, ladders={**ladders, device: ladder}), folder)

            try:
                ladders[device] = climb.climb(request, ladders.get(device), say, save)
            except KeyboardInterrupt:
                if not ladders:
                    raise
                return dataclasses.replace(before, ladders=ladders), True
            if ladders[device].interrupted:
                return dataclasses.replace(before, ladders=ladders), True
    return dataclasses.replace(before, ladders=ladders), False


def _show_plan(terminal: Console, chosen: Mapping[str, climb.ClimbRequest], seconds: float) -> None:
    first = next(iter(chosen.values()))
    terminal.print(Text.assemble(("fcnn-bench", "bold"), f"  {first.images.label}"), soft_wrap=True)
    for device, request in chosen.items():
        peers = sum(row in PEERS for row in request.rows)
        what = f"{counted(len(request.rows) - peers, 'step')}" + (f", {counted(peers, 'peer')}" if peers else "")
        terminal.print(f"  {device:6}{what}")
    terminal.print(Text.assemble("  expected time about ", (duration(seconds), "bold")))


def _identity(loaded: Images) -> dict[str, Any]:
    """What must be the same for a ladder to go on, as `ladder.json` has it."""
    return {
        "machine": facts.machine().label,
        "torch": facts.version("torch"),
        "dataset": loaded.sha256,
        **identity(),
    }


def _failures(ladder: Ladder) -> list[str]:
    """What a ladder that came to its end has not."""
    failures = []
    if ladder.roofline_seconds is None:
        failures.append(f"{ladder.device}: the roofline bound could not be measured: {ladder.roofline_reason}")
    if not ladder.first.seconds:
        failures.append(f"{ladder.device}: the tutorial was not measured: {ladder.first.reason}")
    return failures


def _chosen(device: str, names: Sequence[str] | None) -> list[LadderRow]:
    first, *others = rows(device)
    return [first, *(row for row in others if not names or row.name in names)]
