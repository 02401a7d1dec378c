"""Reading and writing records. A run's folder appears whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from bench import interruption
from bench.errors import BenchError
from bench.record import files, journal
from bench.record.model import (
    SCHEMA_VERSION,
    TIMING_RULE_VERSION,
    Record,
    RecordError,
    from_json,
    to_json,
)

RECORD_FILE = "record.json"
REFERENCE_FOLDER = "reference"


@functools.cache
def _validator() -> Any:
    # Imported where a record is checked: beside some packages of Jupyter it takes one and a half seconds.
    import jsonschema

    schema = json.loads(resources.files("bench.record").joinpath("schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _first_error(validator: Any, data: Any) -> Any:
    """The error that explains the most, as jsonschema has it; None for valid data."""
    from jsonschema.exceptions import best_match

    return best_match(validator.iter_errors(data))


def check(data: Any, source: str) -> None:
    """Raises RecordError, naming the first fault and `source`, unless `data` is a valid record."""
    if isinstance(data, dict) and data.get("schema_version") != SCHEMA_VERSION:
        found = data.get("schema_version", "none")
        raise RecordError(f"{source}: schema version {found}, this program reads version {SCHEMA_VERSION}")
    if error := _first_error(_validator(), data):
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        raise RecordError(f"{source}: not a valid record: at {where}: {error.message[:160]}")
    known = {one["number"] for one in data["rounds"]}
    for number, measurement in enumerate(data["measurements"]):
        rounds, device = measurement["rounds"], measurement["device_samples_seconds"]
        lengths = {len(rounds), len(measurement["samples_seconds"]), len(device or rounds)}
        if len(lengths) > 1 or len(set(rounds)) < len(rounds) or not known.issuperset(rounds):
            fault = "its samples are not one a round, each of a round of the record"
            raise RecordError(f"{source}: not a valid record: at measurements/{number}/rounds: {fault}")
    try:
        datetime.datetime.fromisoformat(data["created_utc"])
    except ValueError as fault:
        raise RecordError(f"{source}: not a valid record: at created_utc: {fault}") from None


def read(path: Path) -> Record:
    """The record in the file `path`, or in the run folder `path`; of a run that has none, what its journal holds.

    Raises:
        RecordError: The file is missing, is not JSON, breaks the schema, or was taken under other timing rules.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists() and (path / journal.JOURNAL_FILE).exists():
        file = path / journal.JOURNAL_FILE
    if file.suffix == Path(journal.JOURNAL_FILE).suffix:
        return of_journal(file)
    try:
        data = files.read_json(file)
    except BenchError as error:
        raise RecordError(str(error)) from error
    check(data, str(file))
    if data["timing_rule_version"] != TIMING_RULE_VERSION:
        raise RecordError(
            f"{file}: taken under timing rules {data['timing_rule_version']}, "
            f"this program knows rules {TIMING_RULE_VERSION}; measure again"
        )
    return from_json(data)


def of_journal(file: Path) -> Record:
    """The record of what a journal holds; raises RecordError."""
    lines = journal.read_lines(file)
    try:
        record = journal.folded(lines)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RecordError(f"{file}: not a valid journal: {type(error).__name__}: {error}") from None
    if not record.measurements:
        raise RecordError(f"{file}: nothing was measured before the run was stopped")
    check(json.loads(json.dumps(to_json(record), allow_nan=False)), str(file))
    return record


def write(record: Record, folder: Path) -> None:
    """Writes `record` as `folder/record.json`, checked against the schema first."""
    data = json.loads(json.dumps(to_json(record), allow_nan=False))
    check(data, "the new record")
    files.write_json(folder / RECORD_FILE, data)


def run_folder_name(created_utc: str, machine: Mapping[str, Any], commit: Mapping[str, Any] | None) -> Path:
    """`<machine>/<UTC>_<commit8>[-dirty]`, relative to the results folder."""
    stamp = created_utc.replace("-", "").replace(":", "")
    name = f"{commit['id'][:8]}{'-dirty' if commit['dirty'] else ''}" if commit else "nocommit"
    return Path(machine["slug"]) / f"{stamp}_{name}"


def new_folder(target: Path) -> Path:
    """Makes `target`, or one with a number if there is such a folder: two runs in one second both stay.

    Raises:
        RecordError: The results folder cannot be written (read-only, disk full).
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
            raise RecordError(f"{folder} cannot be written: {files.why(error)}") from error


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a hidden folder to fill, which becomes `target` at the end; after an error nothing is left of it.

    A target that exists already is kept, and RecordError raised: see `free_name`.

    Raises:
        RecordError: The results folder cannot be written (read-only, disk full), or the target exists.
    """
    staging = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
        yield staging
        staging.chmod(files.usual_mode(0o777))
        if target.exists():
            raise RecordError(f"{target} exists already")
        staging.rename(target)
    except OSError as error:
        raise RecordError(f"{target} cannot be written: {files.why(error)}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A hidden folder whose files move into `folder` at the end, each whole; after an error nothing is left of it.

    For what is added to a run's folder that is there; `folder` is made where it is not.
    """
    staging = None
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
        raise RecordError(f"{folder} cannot be written: {files.why(error)}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty, it was made for this


def newest_run(results: Path, machine_slug: str) -> Path | None:
    """The folder of this machine's newest run; None if there is none."""
    found = sorted(results.glob(f"{machine_slug}/*/{RECORD_FILE}"))
    return found[-1].parent if found else None


def free_name(target: Path) -> Path:
    """`target`, or with a number if there is such a folder: two runs in one second both stay."""
    candidates = (
        target if number == 1 else target.with_name(f"{target.name}.{number}") for number in itertools.count(1)
    )
    return next(path for path in candidates if not path.exists())


def reference_records(results: Path) -> list[Record]:
    """Every record promoted under `results/reference/<machine>/`, in the order of their machines."""
    return [read(path) for path in sorted((results / REFERENCE_FOLDER).glob(f"*/**/{RECORD_FILE}"))]
