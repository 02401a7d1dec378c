"""The journal: what is in it at once, what becomes of a torn or a full one, and the record that it makes."""

import dataclasses
import errno
import json
import os
import subprocess
import sys

import pytest

from bench.errors import BenchError
from bench.record import journal, store
from bench.record.folding import folded
from bench.record.journal import JOURNAL_FILE, Journal, read_lines
from bench.record.model import Calibration
from tests.data.measurements import case, counters
from tests.data.records import CPU_CALIBRATIONS

STEP, FUSED, GPU = "step[cpu-b64-fp32]", "step[cpu-b64-fp32-fused]", "step[cuda-b64-fp32]"
EPOCH, TRAINING = "epoch[cpu-b64-fp32]", "accuracy[cpu-b64-fp32]"
CASES = {
    STEP: case(),
    FUSED: case(optimizer="fused"),
    GPU: case(device="cuda"),
    EPOCH: case("epoch"),
    TRAINING: case("accuracy"),
}


def header(**changes):
    planned = {
        id: {"case": dataclasses.asdict(c), "command": f"measure {id}", "impossible": "no GPU" if id == GPU else None}
        for id, c in CASES.items()
    }
    return {
        "created_utc": "2026-01-02T03:04:05Z",
        "command": "fcnn-bench",
        "commit": {"id": "0123456789ab", "dirty": False},
        "machine": {"slug": "some-cpu-2c", "label": "Some CPU, 2 cores"},
        "environment": {"hardware": {}, "software": {}, "settings": {}},
        "dataset": {"name": "MNIST", "label": "MNIST", "sha256": "0" * 64, "train_images": 60_000,
                    "test_images": 10_000, "fallback_reason": None},
        "accuracy": {"epochs": 1, "target_fraction": 0.93, "max_epochs": 3},
        "cases": planned,
        **changes,
    }  # fmt: skip


def prepared(journal, process, *ids):
    for id in ids:
        journal.write("prepared", process=process, id=id, first_call_seconds=0.01, warmup_seconds=0.1)


def a_round(journal, number, group, process, order, seconds, **fields):
    indices = [list(CASES).index(id) for id in order]
    journal.write("round", number=number, group=group, process=process, order=indices, seconds=seconds, took=0.2,
                  beside={"others_cores": 0.01}, **fields)  # fmt: skip


TRAINED = {"test_accuracy_fraction": 0.93, "train_accuracy_fraction": 0.94, "seconds_to_target": None}


@pytest.fixture
def written(tmp_path):
    """A run that was stopped in its trainings."""
    found = Journal.create(tmp_path, header())
    found.write("calibration", calibrations=[dataclasses.asdict(y) for y in CPU_CALIBRATIONS])
    found.write("sizes", repetitions={STEP: 20, FUSED: 30}, seconds={STEP: 5e-4, FUSED: 3e-4})
    prepared(found, 0, STEP, FUSED)
    a_round(found, 0, "steps", 0, [FUSED, STEP], [3e-4, 5e-4])
    a_round(found, 1, "steps", 0, [STEP, FUSED], [5.1e-4, 3.1e-4], disturbed="others were busy")
    found.write("failed", id=EPOCH, reason="it was killed by SIGKILL")
    prepared(found, 1, TRAINING)
    a_round(found, 2, "trainings", 1, [TRAINING], [0.5], trained=[{"seed": 0, "seconds": 0.5, **TRAINED}])
    flags = [{"name": "cold", "reason": "no warm-up"}]
    found.write("observed", id=STEP, counters=dataclasses.asdict(counters(CASES[STEP])), flags=flags)
    yield found
    found.close()


def test_a_later_calibration_counts_where_it_did_the_same_work_and_a_failed_one_has_its_reason(tmp_path):
    def of(name, work, samples, **fields):
        return dataclasses.asdict(Calibration(name, "cpu", "flop", work, samples, **fields))

    other = Journal.create(tmp_path, header())
    failed = of("grid_barrier", 1.0, [], reason="planted")
    other.write("calibration", calibrations=[of("same", 8.0, [1.0]), of("larger", 8.0, [1.0]), failed])
    other.write("calibration", calibrations=[of("same", 8.0, [1.5]), of("larger", 64.0, [9.0]), failed])
    other.close()
    found = {y.name: y for y in folded(other.lines).calibrations}
    assert found["same"].after_samples_seconds == [1.5]
    assert found["larger"].after_samples_seconds is None
    assert (found["grid_barrier"].samples_seconds, found["grid_barrier"].after_samples_seconds) == ([], None)
    assert found["grid_barrier"].reason == "planted"


def test_the_record_is_made_of_the_journal(written, tmp_path):
    record = store.read(tmp_path)
    assert record == store.read(tmp_path / JOURNAL_FILE) == folded(written.lines)
    step, fused, training = record.measurements
    assert (step.samples_seconds, step.rounds) == ([5e-4, 5.1e-4], [0, 1])
    assert (fused.samples_seconds, fused.rounds) == ([3e-4, 3.1e-4], [0, 1])
    assert (step.block_repetitions, fused.block_repetitions, training.block_repetitions) == (20, 30, 1)
    assert (step.counters, fused.counters) == (counters(CASES[STEP]), None)
    assert [flag.name for flag in step.flags] == ["cold"]
    assert (step.command, step.images_per_repetition, step.steps_per_epoch) == (f"measure {STEP}", 64, None)
    assert (training.images_per_repetition, training.steps_per_epoch, training.last_batch_size) == (60_000, 938, 32)
    assert training.accuracy.seeds == [0]
    assert training.accuracy.seconds_to_target == [None]
    assert [(r.group, r.process, r.disturbed) for r in record.rounds] == [
        ("steps", 0, None), ("steps", 0, "others were busy"), ("trainings", 1, None),
    ]  # fmt: skip
    assert [(u.id, u.kind, u.reason) for u in record.unmeasured] == [
        (GPU, "impossible", "no GPU"), (EPOCH, "failed", "it was killed by SIGKILL"),
    ]  # fmt: skip
    assert record.calibrations[0].after_samples_seconds == CPU_CALIBRATIONS[0].after_samples_seconds


def test_a_run_is_partial_until_its_end(written, tmp_path):
    assert store.read(tmp_path).partial
    written.write("end")
    assert not store.read(tmp_path).partial


def test_a_case_without_a_turn_is_said_to_be_missing(tmp_path):
    found = Journal.create(tmp_path, header())
    prepared(found, 0, STEP)
    a_round(found, 0, "steps", 0, [STEP], [5e-4])
    gaps = {gap.id: gap.kind for gap in folded(found.lines).unmeasured}
    assert gaps == {GPU: "impossible", FUSED: "interrupted", EPOCH: "interrupted", TRAINING: "interrupted"}
    found.close()


def test_a_later_calibration_is_set_beside_the_first(written):
    later = [dataclasses.replace(y, samples_seconds=[9.0], after_samples_seconds=None) for y in CPU_CALIBRATIONS]
    written.write("calibration", calibrations=[dataclasses.asdict(y) for y in later])
    assert {tuple(y.after_samples_seconds) for y in folded(written.lines).calibrations} == {(9.0,)}


def test_a_line_that_was_cut_off_is_left_out_and_overwritten(written, tmp_path):
    path = tmp_path / JOURNAL_FILE
    written.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "round", "at": 1.0, "numb')
    assert read_lines(path) == written.lines
    again = Journal.reopen(path)
    again.write("end")
    again.close()
    assert [line["kind"] for line in read_lines(path)] == [*(line["kind"] for line in written.lines), "end"]


def test_time_goes_on_where_it_was(written, tmp_path):
    written.close()
    path = tmp_path / JOURNAL_FILE
    lines = path.read_text().splitlines()
    last = {**json.loads(lines[-1]), "at": 500.0}
    path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    again = Journal.reopen(path)
    again.write("end")
    again.close()
    assert again.lines[-1]["at"] >= 500.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no beginning"),
        (b'{"kind": "run"', "has no beginning"),
        (b'{"kind": "end", "at": 1.0}\n', "has no beginning"),
        (b'{"kind": "run", "at": 0}\n', "schema version None and timing rules None"),
        (b'{"kind": "run", "at": 0}\nnonsense\n{"kind": "end", "at": 1}\n', "line 2: "),
        (b'[1]\n', "line 1: "),
        (b'{"kind": "run", "at": NaN}\n', "line 1: no line of a journal"),
        (b"\xff\n", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_journal_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(content)
    with pytest.raises(BenchError, match=message) as error:
        store.read(tmp_path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_journal_with_lines_that_lack_something_is_refused(written, tmp_path):
    path = tmp_path / JOURNAL_FILE
    path.write_text(path.read_text().replace('"took": 0.2, ', "", 1))
    with pytest.raises(BenchError, match="not a valid journal: KeyError: 'took'"):
        store.read(tmp_path)


def test_a_run_that_had_measured_nothing_is_no_record(tmp_path):
    Journal.create(tmp_path, header()).close()
    with pytest.raises(BenchError, match="nothing was measured before the run was stopped"):
        store.read(tmp_path)


def test_a_number_that_is_none_costs_its_line_alone(written):
    before = list(written.lines)
    with pytest.raises(ValueError, match="not JSON compliant"):
        written.write("observed", id=STEP, phases=float("nan"))
    assert written.lines == before == read_lines(written.path)


def test_a_full_disk_leaves_whole_lines_and_nothing_is_lost(written, monkeypatch):
    def full(descriptor, data):
        if len(data) > 10:
            return real(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    real, before = os.write, list(written.lines)
    monkeypatch.setattr(journal.os, "write", full)
    written.write("end")
    monkeypatch.undo()
    written.write("after")
    assert written.problem == f"{written.path} cannot be written: No space left on device"
    assert read_lines(written.path) == before
    assert [line["kind"] for line in written.lines[-2:]] == ["end", "after"]


def test_a_second_run_does_not_write_into_the_same(written, tmp_path):
    if journal.fcntl is None:
        pytest.skip("this system has no locks")
    code = f"from bench.record.journal import Journal, Path\nJournal.reopen(Path({str(written.path)!r}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.rstrip().endswith("journal.jsonl is being written by another run")
    with pytest.raises(BenchError, match="cannot be written: File exists"):
        Journal.create(tmp_path, header())


def test_ten_thousand_rounds_of_eighteen_cases_are_under_20_megabytes(tmp_path):
    found = Journal.create(tmp_path, header())
    order, seconds = list(range(18)), [5.12345e-4] * 18
    for number in range(100):
        found.write("round", number=9900 + number, group="steps", process=100, order=order, seconds=seconds,
                    took=0.21234, beside={"others_cores": 0.012345, "waited_cores": 0.0123456, "stopped_cores": 0.0,
                            "cpu_hertz": 2.49e9, "gpu_throttle_reasons": 0, "gpu_others": 0})  # fmt: skip
    found.close()
    assert 100 * (tmp_path / JOURNAL_FILE).stat().st_size < 20e6
