"""Where what is added to a run goes: profiles and ladders lie beside the record of their machine's newest run."""

from __future__ import annotations

import datetime
from pathlib import Path

from bench.measure import facts
from bench.record import files, store


def destination(run: Path | None, results: Path, program: Path | None = None) -> Path:
    """The folder `run`, else this machine's newest run of the same program under `results`, else a new one named so.

    Args:
        run: A folder that was named.
        results: The results folder.
        program: A program of the user's own; None for the reference.

    Raises:
        BenchError: It cannot be written, which is found out before anything is measured.
    """
    folder = run or store.newest_run(results, facts.machine().slug, program) or _new(results)
    files.check_writable(folder, "--run" if run else "--results")
    return folder


def _new(results: Path) -> Path:
    commit = facts.commit()
    name = f"{commit.id[:8]}{'-dirty' if commit.dirty else ''}" if commit else "nocommit"
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return store.free_name(results / facts.machine().slug / f"{stamp}_{name}")
