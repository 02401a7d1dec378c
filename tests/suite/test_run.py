"""The main job end to end on small images: plan, progress, results folder, exit code, and what may come between."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.record import journal
from bench.record.store import read
from bench.suite import run, session
from bench.workers import survey
from fcnn.data import load_images
from tests.commands import MAIN
from tests.signals import sent_at
from tests.suite.local import Workers
from tests.suite.small_runs import FORKED, LONG, QUICKLY, start

try:
    import pty
except ImportError:  # as on Windows
    pty = None  # type: ignore[assignment]

ROOT = Path(__file__).parents[2]
SMALL = ["run", "--device", "cpu", "--batch", "16", "--workload", "step", "--budget", "0.05"]


@pytest.mark.slow
def test_a_run_leaves_a_whole_results_folder_whatever_surrounds_it(data, tmp_path):
    """In a fresh interpreter.

    Pytest's and matplotlib's configuration of others, a disk that is full for what is printed, a poor encoding.
    """
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    others = {"PYTEST_ADDOPTS": "-n 2", "MPLBACKEND": "nonsense", "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    root, checksums = data
    words = [*SMALL, "--precision", "fp32", "tf32", "--results", "results [/b]", "--data", str(root)]
    with Path("/dev/full" if Path("/dev/full").exists() else os.devnull).open("w") as full:
        run = subprocess.run(
            [sys.executable, "-c", QUICKLY + MAIN, *words], cwd=tmp_path, stdout=full,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CHECKSUMS": json.dumps(checksums), **others},
            stderr=subprocess.PIPE, text=True, umask=0o027, check=False,
        )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    (folder,) = (tmp_path / "results [/b]").glob("*/*")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"record.json", "report.md", "report.html", "run.log", "plots/steps.svg"} <= names
    assert any(name.startswith("tables/") for name in names)
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE((folder / "record.json").stat().st_mode)) == (
        0o750,
        0o640,
    )
    record = read(folder)
    (measurement,) = record.measurements
    assert not record.partial
    assert measurement.counters.flops > 0
    assert measurement.phases.host_seconds["backward"] > 0
    assert {y.name for y in record.calibrations} >= {"matmul_fp32", "copy", "dispatch"}
    assert all(y.after_samples_seconds for y in record.calibrations)
    assert "observed  step[cpu-b16-fp32]" in (folder / "run.log").read_text()
    assert not (folder / "journal.jsonl").exists()  # it is all in the record


@pytest.mark.slow
@pytest.mark.skipif(pty is None, reason="there are no pseudo-terminals")
def test_on_a_terminal_there_is_a_bar_and_the_plan(data, tmp_path):
    ours, theirs = pty.openpty()
    code = "import os; os.environ.pop('CI', None)\n" + FORKED + MAIN
    terminal = {"folder": tmp_path, "environment": {"TERM": "xterm"}, "out": os.ttyname(theirs)}
    command = start(data, *SMALL, "--results", tmp_path / "results", code=code, **terminal)
    shown = b""

    def read_on() -> bool:
        while select.select([ours], [], [], 0)[0]:
            nonlocal shown
            shown += os.read(ours, 4096)
        return False

    command.wait_for(read_on)
    ended = command.end()
    read_on()
    os.close(theirs)
    os.close(ours)
    assert (ended.code, ended.err) == (0, "")
    text = shown.decode("utf-8")
    assert "MNIST: 640 training and 200 test images" in text
    assert "1 case, expected time" in text
    before, _, after = text.partition("steps: process 1 of 3")
    assert "expected time" in before
    assert re.search(r"━.*about .* left", after.partition("\n")[0])
    assert "step[cpu-b16-fp32]: taking it apart" in after


@pytest.mark.slow
def test_a_signal_and_a_second_one_leave_what_was_measured(data, tmp_path):
    begun = {"BEGUN": str(tmp_path / "begun")}
    command = start(data, *LONG, "--results", tmp_path / "results", folder=tmp_path, environment=begun)
    command.wait_for((tmp_path / "begun").exists)
    command.send(signal.SIGHUP)
    command.send(signal.SIGINT)  # of two of a kind at once, the system keeps one
    ended = command.end()
    assert ended.code == 3, ended.err
    (folder,) = (tmp_path / "results").glob("*/*")
    assert ended.err == (
        "fcnn-bench: interrupted: 2 of 4 cases are missing; the report holds the others; "
        f"to go on: fcnn-bench run --resume {folder}\n"
    )
    record = read(folder)
    assert record.partial
    assert len(record.measurements) == 2
    assert [gap.kind for gap in record.unmeasured] == ["interrupted"] * 2
    assert (folder / "report.html").exists()


@pytest.fixture
def measured(monkeypatch, mnist_root, measured_once):
    """Where a run has its workers in this process."""

    @contextlib.contextmanager
    def workers(options):
        yield Workers(load_images("MNIST", mnist_root))

    monkeypatch.setattr(session, "workers_of", workers)
    monkeypatch.setattr(survey, "_step_seconds", lambda *of: 1e-4)


@pytest.mark.parametrize(
    "at",
    [
        (run, "_save"),
        *(
            pytest.param(at, marks=pytest.mark.slow)
            for at in ((run.saving, "save"), (run, "_report"), (run.saving, "draw"))
        ),
    ],
)
def test_a_signal_after_the_last_case_costs_no_record(measured, tmp_path, monkeypatch, capsys, at):
    sent_at(monkeypatch, *at, signal.SIGTERM)
    assert main([*SMALL, "--results", str(tmp_path / "results")]) == 3
    (folder,) = (tmp_path / "results").glob("*/*")
    assert [m.id for m in read(folder).measurements] == ["step[cpu-b16-fp32]"]
    err = capsys.readouterr().err
    assert err == f"fcnn-bench: interrupted: the record is whole, the report is not: fcnn-bench report {folder}\n"


@pytest.mark.slow
def test_a_full_disk_costs_no_record(measured, tmp_path, monkeypatch, capsys):
    def full(descriptor, data):
        if b'"round"' in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    real = os.write
    monkeypatch.setattr(journal.os, "write", full)
    assert main([*SMALL, "--results", str(tmp_path / "results")]) == 3
    (folder,) = (tmp_path / "results").glob("*/*")
    assert len(read(folder).measurements[0].samples_seconds) >= 3
    assert "journal.jsonl cannot be written: No space left on device" in capsys.readouterr().err


@pytest.mark.slow
def test_the_process_that_asks_imports_neither_torch_nor_what_takes_a_second():
    code = "import sys, bench.suite.run, bench.suite.conftest, bench.report.terminal\n"
    code += "assert not {'torch', 'torchvision', 'fcnn', 'scipy.stats'} & set(sys.modules), sorted(sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "--batch", "0"], 2, "fcnn-bench run: argument --batch: '0' is not a whole number of at least 1"),
        (["--precision", "fp7"], 2, "fcnn-bench: argument --precision: 'fp7' is none of fp32, tf32, bf16, fp16"),
        (["nonsense"], 2, "fcnn-bench: 'nonsense' is none of run, report"),
    ],
)
def test_usage_errors_are_one_line_and_exit_code_2(words, code, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == code
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_corrupt_data_root_is_one_line_and_exit_code_2(mnist_root, tmp_path, capsys):
    path = mnist_root / "MNIST/raw/train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    assert main([*SMALL, "--data", str(mnist_root), "--results", str(tmp_path / "r")]) == 2
    assert "is corrupt" in capsys.readouterr().err


def test_an_unwritable_results_folder_is_found_out_before_measuring(mnist_root, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*SMALL, "--data", str(mnist_root), "--results", str(tmp_path / "file" / "r")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_nothing_to_measure_is_exit_code_3_with_the_reason(measured, mnist_root, tmp_path, capsys):
    words = [
        "run",
        "--device",
        "cpu",
        "--precision",
        "tf32",
        "--data",
        str(mnist_root),
        "--results",
        str(tmp_path / "results"),
    ]
    assert main(words) == 3
    assert "nothing to measure: TF32 is a format of NVIDIA's tensor cores" in capsys.readouterr().err


def test_help_needs_neither_torch_nor_pandas():
    code = "import sys, bench.cli\ntry: bench.cli.main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'pandas', 'scipy', 'matplotlib', 'pytest'} & set(sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    assert "a report on this machine, CPU and GPU" in run.stdout
