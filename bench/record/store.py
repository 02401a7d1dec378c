"""Reading and writing records. A run's folder appears whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import interruption
from bench.errors import BenchError
from bench.record import files, journal, version1
from bench.record.folding import folded
from bench.record.model import GROUPS, SCHEMA_VERSION, Record, to_json
from bench.record.typed import converted

RECORD_FILE = "record.json"
REFERENCE_FOLDER = "reference"


def of_json(data: Any, source: str) -> Record:
    """The record in what `json.load` made of it.

    Raises:
        BenchError: It is none, or of a version that this program does not know; names the first fault and `source`.
    """
    if isinstance(data, dict) and data.get("schema_version") == version1.SCHEMA_VERSION:
        data = version1.raised(data)
    elif isinstance(data, dict) and data.get("schema_version") != SCHEMA_VERSION:
        version = data.get("schema_version", "none")
        raise BenchError(f"{source}: schema version {version}, this program reads version {SCHEMA_VERSION}")
    if isinstance(data, dict) and journal.CALIBRATIONS_ONCE in data:
        data = {"calibrations" if name == journal.CALIBRATIONS_ONCE else name: one for name, one in data.items()}
    try:
        record = converted(Record, data)
    except ValueError as error:
        raise BenchError(f"{source}: not a valid record: {error}") from None
    if fault := _fault(record):
        raise BenchError(f"{source}: not a valid record: at {fault}")
    return record


def _fault(record: Record) -> str | None:
    """Where fields do not fit one another, and why; None if they do."""
    if missing := [group for group in GROUPS if group not in record.environment]:
        return f"environment: there is no {missing[0]}"
    known = {one.number for one in record.rounds}
    for number, m in enumerate(record.measurements):
        lengths = {len(m.rounds), len(m.samples_seconds), len(m.device_samples_seconds or m.rounds)}
        if len(lengths) > 1 or len(set(m.rounds)) < len(m.rounds) or not known.issuperset(m.rounds):
            return f"measurements/{number}/rounds: its samples are not one a round, each of a round of the record"
    return None


def read(path: Path) -> Record:
    """The record in the file `path`, or in the run folder `path`; of a run that has none, what its journal holds.

    Raises:
        BenchError: The file is missing, is not JSON, or holds no record.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists() and (path / journal.JOURNAL_FILE).exists():
        file = path / journal.JOURNAL_FILE
    if file.suffix == Path(journal.JOURNAL_FILE).suffix:
        return of_journal(file)
    return of_json(files.read_json(file), str(file))


def of_journal(file: Path) -> Record:
    """The record of what a journal holds; raises BenchError."""
    lines = journal.read_lines(file)
    try:
        record = folded(lines)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BenchError(f"{file}: not a valid journal: {type(error).__name__}: {error}") from None
    if not record.measurements:
        raise BenchError(f"{file}: nothing was measured before the run was stopped")
    return of_json(to_json(record), str(file))


def write(record: Record, folder: Path) -> None:
    """Writes `record` as `folder/record.json`; raises BenchError if it could not be read again."""
    data = to_json(record)
    of_json(data, "the new record")
    files.write_json(folder / RECORD_FILE, data)


def run_folder_name(created_utc: str, machine: Mapping[str, Any], commit: Mapping[str, Any] | None) -> Path:
    """`<machine>/<UTC>_<commit8>[-dirty]`, relative to the results folder."""
    stamp = created_utc.replace("-", "").replace(":", "")
    name = f"{commit['id'][:8]}{'-dirty' if commit['dirty'] else ''}" if commit else "nocommit"
    return Path(machine["slug"]) / f"{stamp}_{name}"


def new_folder(target: Path) -> Path:
    """Makes `target`, or one with a number if there is such a folder: two runs in one second both stay.

    Raises:
        BenchError: The results folder cannot be written (read-only, disk full).
    """
    folder, number = target, 1
    while True:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = target.with_name(f"{target.name}.{number}")
        except OSError as error:
            raise BenchError(f"{folder} cannot be written: {files.why(error)}") from error


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a hidden folder to fill, which becomes `target` at the end; after an error nothing is left of it.

    A target that exists already is kept, and BenchError raised: see `free_name`.

    Raises:
        BenchError: The results folder cannot be written (read-only, disk full), or the target exists.
    """
    staging = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
        yield staging
        staging.chmod(files.usual_mode(0o777))
        if target.exists():
            raise BenchError(f"{target} exists already")
        staging.rename(target)
    except OSError as error:
        raise BenchError(f"{target} cannot be written: {files.why(error)}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A hidden folder whose files move into `folder` at the end, each whole; after an error nothing is left of it.

    For what is added to a run's folder that is there; `folder` is made where it is not, with those above it.
    """
    staging = None
    new = [path for path in folder.parents if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
        yield staging
        with interruption.deferred():  # all of them, or none
            for file in sorted(path for path in staging.rglob("*") if path.is_file()):
                target = folder / file.relative_to(staging)
                target.parent.mkdir(exist_ok=True)
                file.replace(target)
    except OSError as error:
        raise BenchError(f"{folder} cannot be written: {files.why(error)}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for made in (folder, *new):  # if it is empty, it was made for this
            with contextlib.suppress(OSError):
                made.rmdir()


def newest_run(results: Path, machine_slug: str, program: Path | None = None) -> Path | None:
    """The folder of this machine's newest run, of the reference or of the program in a file; None if there is none."""
    paths = sorted(results.glob(f"{machine_slug}/*/{RECORD_FILE}"), reverse=True)
    return next((path.parent for path in paths if _is_of(path, program)), None)


def _is_of(path: Path, program: Path | None) -> bool:
    """Whether a record is of a program, whose path it has as it was called from the current folder."""
    try:
        measured = (files.read_json(path).get("program") or {}).get("file")
    except (BenchError, AttributeError):  # it cannot be read, and nothing goes beside it
        return False
    return (Path(measured).resolve() if measured else None) == (program.resolve() if program else None)


def free_name(target: Path) -> Path:
    """`target`, or with a number if there is such a folder: two runs in one second both stay."""
    candidates = (
        target if number == 1 else target.with_name(f"{target.name}.{number}") for number in itertools.count(1)
    )
    return next(path for path in candidates if not path.exists())


def reference_records(results: Path) -> list[Record]:
    """Every record promoted under `results/reference/<machine>/`, in the order of their machines."""
    return [read(path) for path in sorted((results / REFERENCE_FOLDER).glob(f"*/**/{RECORD_FILE}"))]
