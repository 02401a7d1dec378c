"""Records that the working tree cannot be compared with, and what of the others is."""

import dataclasses
import json
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.gate.against import DEFAULT_ID, chosen
from bench.record.model import TIMING_RULE_VERSION, Machine
from tests.data.measurements import COLD
from tests.data.records import CPU_RECORD, flagged, only
from tests.gate.kept import here, written

ROOT = Path(__file__).parents[2]
TRAIN = 60_000
OTHER = Machine("other-cpu-8c", "Other CPU, 8 cores")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: dataclasses.replace(record, machine=OTHER), "is of another machine: Other CPU, 8 cores, this"),
        (
            lambda record: dataclasses.replace(record, dataset=dataclasses.replace(record.dataset, sha256="c" * 64)),
            "is of other images",
        ),
        (lambda record: only(record, "step[cpu-b1-fp32]"), f"has no {DEFAULT_ID}: nothing to compare with"),
        (lambda record: flagged(record, DEFAULT_ID, COLD), f"{DEFAULT_ID} is flagged"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message, mnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    path = written(change(here(CPU_RECORD, mnist_root)), tmp_path / "record")
    words = ["check", "--baseline", str(path), "--data", str(mnist_root), "--output", str(tmp_path / "out")]
    assert main(words) == 4
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:100], "is no JSON"),
        (lambda text: json.dumps({**json.loads(text), "timing_rule_version": TIMING_RULE_VERSION + 1}), "timing rules"),
        (lambda text: json.dumps({**json.loads(text), "schema_version": 99}), "schema version 99"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused(damage, message, mnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    file = written(CPU_RECORD, tmp_path / "record") / "record.json"
    file.write_text(damage(file.read_text()))
    assert main(["check", "--baseline", str(file), "--data", str(mnist_root)]) == 4
    assert message in capsys.readouterr().err


def test_a_ref_and_a_record_are_too_much(capsys):
    assert main(["check", "HEAD", "--baseline", "record.json"]) == 2
    assert "REF or --baseline, not both" in capsys.readouterr().err


def test_a_case_that_has_vanished_is_named():
    step = next(m for m in CPU_RECORD.measurements if m.id == DEFAULT_ID)
    gone = dataclasses.replace(
        step, id="step[cpu-b64-fp32-lion]", case=dataclasses.replace(step.case, optimizer="lion")
    )
    record = dataclasses.replace(CPU_RECORD, measurements=[step, gone])
    assert list(chosen([record], everything=False, train_images=TRAIN)) == [DEFAULT_ID]
    with pytest.raises(
        BenchError, match=r"step\[cpu-b64-fp32-lion\] .* has vanished here: there is no optimizer 'lion'"
    ):
        chosen([record], everything=True, train_images=TRAIN)
    with pytest.raises(BenchError, match="has vanished here: the dataset has only 10 training images"):
        chosen([record], everything=False, train_images=10)


def test_records_with_other_threads_are_not_pooled():
    step = next(m for m in CPU_RECORD.measurements if m.id == DEFAULT_ID)
    other = dataclasses.replace(step, case=dataclasses.replace(step.case, threads=7))
    records = [dataclasses.replace(CPU_RECORD, measurements=[m]) for m in (step, other)]
    with pytest.raises(BenchError, match="differ in their threads"):
        chosen(records, everything=False, train_images=TRAIN)


def test_all_means_eager_steps_and_parts_without_flags():
    record = flagged(CPU_RECORD, "step[cpu-b1-fp32]")
    found = chosen([record], everything=True, train_images=TRAIN)
    assert "forward[cpu-b64-fp32]" in found
    assert not {"step[cpu-b1-fp32]", "epoch[cpu-b64-fp32]", "step[cpu-b64-fp32-compile]"} & set(found)
