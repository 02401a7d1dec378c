"""`fcnn-bench ladder`: every rung and every peer in a process of its own, then a table and a picture."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.gate import accuracy
from bench.ladder import show
from bench.ladder.rungs import RUNGS, Rung
from bench.ladder.show import Ladder, Step
from bench.ladder.table import PEERS, lines_changed
from bench.measure import facts, settings
from bench.record import store
from bench.report import later
from bench.suite.fresh import HARNESS, FreshError, ask, requested
from fcnn.data import DataError, Images, load_images

DONE, USAGE, BROKEN = 0, 2, 3
Ask = Callable[[str], dict[str, Any]]


def run_ladder(names: Sequence[str] | None, *, epochs: int, data: Path | None, results: Path, run: Path | None) -> int:
    """Climbs the named rungs, or all, and the peers; writes ladder.md, ladder.json and ladder.svg.

    The tutorial is always climbed: all others are told by it.
    """
    console = Console(highlight=False)
    chosen = [rung for rung in (*RUNGS, *PEERS) if not names or rung.name in names or rung is RUNGS[0]]
    if unknown := set(names or ()) - {rung.name for rung in chosen}:
        known = ", ".join(repr(rung.name) for rung in (*RUNGS, *PEERS))
        print(f"fcnn-bench: there is no rung {sorted(unknown)[0]!r}; there are {known}", file=sys.stderr)
        return USAGE
    try:
        settings.use_threads(settings.default_threads())
        images = load_images("MNIST", data)
        folder = run or store.newest_run(results, facts.machine(["cpu"]).slug) or results / "ladder"
        with store.staged(folder) as staged, console.status("") as status:
            found = climb(chosen, images, _ask(images, epochs, data), lambda name: status.update(f"{name} ..."))
            (staged / "ladder.json").write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n", "utf-8")
            (staged / "ladder.md").write_text(show.markdown(found), "utf-8")
            (staged / "ladder.svg").write_text(show.picture(found), "utf-8")
            later.insert(folder / "report.html", "ladder", show.section(found), staged / "report.html")
    except DataError as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return BROKEN
    show.show(found, console)
    console.print(f"\nladder: {folder}/ladder.md", soft_wrap=True)
    return DONE if found.first.seconds else BROKEN


def climb(chosen: Sequence[Rung], images: Images, answer: Ask, say: Callable[[str], None]) -> Ladder:
    """All rows; a rung that fails or cannot be climbed is kept with its reason."""
    say("floor")
    floor = answer("floor")
    if "error" in floor:
        raise OSError(f"the floor could not be measured: {floor['error']}")
    steps = []
    for rung in chosen:
        say(rung.name)
        step = Step(rung.name, rung.removed, lines_changed(rung), rung in PEERS)
        reason = rung.why_not()
        found = {} if reason else answer(rung.name)
        if reason := reason or found.get("error"):
            steps.append(dataclasses.replace(step, reason=reason))
            continue
        p = _accuracy_p(found["test_accuracy_fraction"], images)
        steps.append(dataclasses.replace(step, **found, accuracy_p=p))
    return Ladder(
        machine=facts.machine(["cpu"]).label,
        dataset=images.label,
        torch=facts.environment(["cpu"])["software"].get("torch", "unknown"),
        floor_seconds=floor["seconds"],
        steps=steps,
    )


def _accuracy_p(found: list[float], images: Images) -> float | None:
    """Against the reference's distribution of one epoch on these images; None where there is none."""
    try:
        reference = accuracy.read_reference(images.name, images.sha256, HARNESS / accuracy.REFERENCE_FOLDER)
    except accuracy.ReferenceError:
        return None
    return accuracy.judge(found, reference, accuracy.Rule()).p if reference.epochs == 1 else None


def _ask(images: Images, epochs: int, data: Path | None) -> Ask:
    def answer(name: str) -> dict[str, Any]:
        request = {"name": name, "epochs": epochs, **requested(images, "MNIST", data)}
        try:
            found: dict[str, Any] = ask("bench.ladder.child", request)
        except FreshError as error:
            return {"error": str(error)}
        return found

    return answer
