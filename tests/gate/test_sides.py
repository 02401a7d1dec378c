"""The sides of a comparison: what they run in, whose it is, and that another interpreter needs nothing of ours."""

import dataclasses
import importlib.metadata
import platform
import random
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bench.axes.case import Case
from bench.cli import main
from bench.errors import BenchError
from bench.gate import check, decide
from bench.gate.decide import FAIL, PASS
from bench.gate.outcome import ERROR, SHOWN, Outcome
from bench.gate.sides import Environment, InTurn, Side, Sides, different, environment_of, sides, why_not
from bench.gate.trees import Trees, one_program
from bench.gate.whole import Request
from bench.workers import process
from tests.data.images import embedded

ROOT = Path(__file__).parents[2]


def test_a_side_has_an_environment_of_its_own_only_where_one_is_named():
    assert environment_of(None, []) is None
    assert environment_of(None, ["A=1", "B=x=y"]) == Environment(sys.executable, {"A": "1", "B": "x=y"})
    assert environment_of(sys.executable, ["A=1"]).words == f"{sys.executable} with A=1"


def test_an_interpreter_is_found_as_a_shell_finds_it_and_keeps_its_link(tmp_path, monkeypatch):
    link = tmp_path / "python-of-mine"
    link.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment_of("python-of-mine", []).python == str(link)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment_of("~/python-of-mine", []).python == str(link)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against-env", "OMP"], "argument --against-env: 'OMP' is not NAME=VALUE"),
        (["--against-env", "=1"], "argument --against-env: '=1' is not NAME=VALUE"),
        (["--against-python", "/nowhere/python"], "'/nowhere/python' is no program that can be started"),
        (["--against-python", ""], "argument --against-python: '' is no program that can be started"),
        (["--against-python", "environment"], "is a folder, name the interpreter in there: environment/bin/python"),
        (["--against-env", "A=1", "--baseline", "x"], "a record has no environment of its own"),
    ],
)
def test_what_names_no_environment_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    (tmp_path / "environment" / "bin" / "python").symlink_to(sys.executable)
    assert main(["check", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_an_environment_that_cannot_run_the_program_is_told_what_it_takes():
    needs = f"No module named 'torch'; it needs torch and numpy: {sys.executable} -m pip install torch numpy"
    no_torch = "the process died: ModuleNotFoundError: No module named 'torch'"
    assert why_not(Environment(), no_torch) == f"{sys.executable}: cannot run the program: {needs}"
    assert why_not(Environment(), "planted") == f"{sys.executable}: cannot run the program: planted"


class Forge:
    def __init__(self, versions):
        self.versions = versions

    def worker(self, called):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, name):
        assert name == "versions"
        return self.versions


def test_what_differs_is_named_with_both_values_and_what_is_missing_is_none(tmp_path):
    reference = Forge({"torch": "2.11.0", "numpy": "2.4", "triton": "3.6"})
    candidate = Forge({"torch": "2.14.1", "numpy": "2.4", "MKL_NUM_THREADS": "1"})
    found = different(Sides(Side(reference, tmp_path), Side(candidate, tmp_path), apart=True))
    assert found == [("torch", "2.11.0", "2.14.1"), ("MKL_NUM_THREADS", "none", "1"), ("triton", "3.6", "none")]


def test_whatever_variable_is_named_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("OF_BOTH", "1")
    monkeypatch.setenv("PLANTED", "here")
    monkeypatch.delenv("ANY", raising=False)
    there = Environment(variables={"ANY": "B=C", "OF_BOTH": "1", "PLANTED": ""})
    of = Sides(Side(Forge({}), tmp_path), Side(Forge({}), tmp_path), apart=True)
    assert different(of, there) == [("PLANTED", "empty", "here"), ("ANY", "B=C", "none")]


def test_workers_come_from_one_process_after_the_other(tmp_path):
    forges = [Forge({}), Forge({})]
    side = InTurn(forges)
    assert [side.worker("it") for _ in range(3)] == [*forges, forges[0]]


def test_counts_of_another_environment_are_shown_and_fail_only_on_request(monkeypatch):
    said = {
        "a": Outcome("counts", "a", FAIL, "x 1 -> 2 per step", ["x 1 -> 2 per step", "y 0 -> 1 per step"]),
        "b": Outcome("counts", "b", PASS, "3 counts are the same"),
        "c": Outcome("counts", "c", ERROR, "the reference cannot be counted: no such operator"),
    }
    monkeypatch.setattr(check, "counted_on", lambda device: [(id, "count", None) for id in said])
    monkeypatch.setattr(check, "_count", lambda of, accepted, id, *_: said[id])
    request = Request(ROOT, "", judges_counts=False)
    shown = list(check.GATES["counts"](None, request, None, []))
    assert [one.verdict for one in shown] == [SHOWN, PASS, SHOWN]
    assert shown[0].reason == "2 counts differ, which --gates counts would judge"
    assert shown[0].lines == said["a"].lines
    assert shown[2].reason == said["c"].reason
    judged = list(check.GATES["counts"](None, Request(ROOT, ""), None, []))
    assert [one.verdict for one in judged] == [FAIL, PASS, ERROR]


def parts_of(name: str, found: set[str]) -> set[str]:
    """The names in the packages' folder of a distribution and of all that it requires here."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return found
    own = {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}
    if own <= found:
        return found
    found |= own
    for text in distribution.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            parts_of(requirement.name, found)
    return found


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """An interpreter with torch, numpy and what these require, and nothing else."""
    folder = tmp_path_factory.mktemp("environments") / "bare"
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for name in parts_of("torch", set()) | parts_of("numpy", set()):
        (packages / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    python = folder / "bin" / "python"
    for missing in ("psutil", "annotated_types", "torchvision"):
        assert subprocess.run([python, "-c", f"import {missing}"], capture_output=True, check=False).returncode
    return python


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_an_interpreter_with_torch_alone_is_counted_timed_and_trained(bare_python, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "of this interpreter"))
    file = check.save_images(embedded(), tmp_path, check.STEP_IMAGES)
    there = Environment(str(bare_python), {"MKL_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"})
    rule = decide.TimingRule(screening_pairs=1, fail_alpha=0.5, more_pairs=0)
    with one_program(ROOT) as programs, sides(programs, file, there, timed=False) as of:
        found = {name: (before, after) for name, before, after in different(of)}
        asked = {name: check._count(of, [], *row) for row in check.counted_on() for name in [row[0]]}
        timed = check.time_case(of, check.gate_case(), rule, random.Random(0))
        with of.reference.worker() as worker:
            (accuracy,) = worker.ask("train", seeds=[0], batch_size=64, epochs=1, threads=1)
    assert found["interpreter"] == (str(bare_python), sys.executable)
    assert found["MKL_CBWR"] == ("COMPATIBLE", "none")
    assert "torch" not in found  # the same one
    assert found["torchvision"][0] == "none"
    assert {name: one.verdict for name, one in asked.items()} == dict.fromkeys(asked, PASS)
    assert timed.raw["screening"][0]["reference_seconds"]
    assert 0.2 < accuracy < 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_an_interpreter_without_torch_is_one_line(mnist_root, tmp_path, monkeypatch, capsys):
    venv.create(tmp_path / "empty", symlinks=True)
    monkeypatch.chdir(tmp_path)
    python = tmp_path / "empty" / "bin" / "python"
    words = ["check", "--against-python", str(python), "--gates", "counts", "--data", str(mnist_root)]
    assert main([*words, "--output", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fcnn-bench: {python}: cannot run the program: ")
    assert "No module named 'torch'" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_something_that_is_started_and_is_no_python_is_named(tmp_path):
    there = Environment("/bin/false")
    with (
        pytest.raises(BenchError, match=r"^argument --against-python: /bin/false is no Python: name an interpreter"),
        one_program(ROOT) as programs,
        sides(programs, tmp_path / "none.pt", there, timed=False),
    ):
        pass


BESIDE = """\
from types import SimpleNamespace

try:
    import beside
except ModuleNotFoundError:
    beside = None


def make(device, batch_size, seed):
    return SimpleNamespace(step=lambda: None, evaluate=lambda: 0.0 if beside else 1.0)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_another_environment_does_not_see_what_the_harness_is_installed_beside(tmp_path, monkeypatch):
    """As pip installs it: beside this interpreter's torch, which would be taken for that of the other."""
    installed, program = tmp_path / "site-packages", tmp_path / "program"
    for folder in (installed, program):
        folder.mkdir()
    for package in ("bench", "fcnn"):
        (installed / package).symlink_to(ROOT / package)
    (installed / "beside.py").touch()
    (program / "training.py").write_text(BESIDE)
    monkeypatch.setattr(process, "HARNESS", installed)
    case = dataclasses.asdict(Case(workload="program", batch_size=64, threads=1))
    there = Environment(sys.executable, {"ANY": "1"})
    with sides(Trees(program, program, "0", "training.py"), None, there, timed=False) as of:
        for side in (of.reference, of.candidate):
            with side.worker() as worker:
                assert worker.ask("own_learn", case=case, seed=0, steps=1) == 1.0


CHURNS = """\
import resource
from types import SimpleNamespace

import torch


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def make(device, batch_size, seed):
    def step():
        several = [torch.ones(5_000_000) for _ in range(3)]  # 60 MB, at the end of the heap: given back by default
        del several

    def of_a_step():
        before = faults()
        step()
        return faults() - before

    def evaluate():  # the fewest: what else is allocated may be put where the last step's was
        return 1.0 if min(of_a_step() for _ in range(8)) < 1000 else 0.0  # of 14,600 pages

    return SimpleNamespace(step=step, evaluate=evaluate)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
@pytest.mark.slow
def test_workers_of_both_sides_keep_the_memory_that_a_step_frees(tmp_path):
    """Whether a process gives it back is chance, and made pairs of one program scatter by a tenth."""
    (tmp_path / "training.py").write_text(CHURNS)
    case = Case(workload="program", batch_size=64, threads=1)
    with sides(Trees(tmp_path, tmp_path, "0", "training.py"), None, None) as of:
        for side in (of.reference, of.candidate):
            with side.worker() as worker:
                assert worker.ask("own_learn", case=dataclasses.asdict(case), seed=0, steps=1) == 1.0
