"""A run of a program of the user's own, with workers in this process or, where it says so, real ones."""

import dataclasses
import gc
import subprocess
import sys
from pathlib import Path

import pytest

from bench.axes import matrix
from bench.axes.case import Case, why_impossible
from bench.cli import main
from bench.errors import USAGE, BenchError
from bench.record.folding import folded
from bench.record.journal import Journal
from bench.record.store import read
from bench.suite import costs, header, own, session
from bench.suite.costs import Rates
from bench.suite.plan import make
from tests.commands import MAIN, Command
from tests.suite.local import Workers, options
from tests.suite.small_runs import FORKED

PROGRAM = """\
from types import SimpleNamespace

import torch


def make(device, batch_size, seed):
    torch.manual_seed(seed)
    if batch_size > 64:
        raise MemoryError("too many images")
    images = torch.randn(batch_size, 20)
    model = torch.nn.Linear(20, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()

    return SimpleNamespace(step=step, model=model, optimizer=optimizer, images_per_step=batch_size)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A file with one, in the current folder, which is no repository."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(gc, "disable", lambda: None)  # of a worker's process, and not of this one
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training.py").write_text(PROGRAM)
    yield Path("training.py")
    sys.modules.pop("program_training", None)


def chosen(program, **values):
    of_others = dict.fromkeys(("num_workers", "pin_memory", "dataset"))
    asked = options(device=["cpu"], **{**of_others, "threads": [1], **values})
    return matrix.filled({**asked, **matrix.of_program(asked, program)})


@pytest.fixture
def surveyed(program):
    """A survey of some batch sizes, with the workers that answered it."""

    def survey(*batches):
        workers = Workers(None, own.request(program))
        return workers, header.survey(workers, chosen(program, batch=list(batches)), "suite")

    return survey


def test_it_is_measured_counted_and_explained(measured_once, surveyed, program, tmp_path):
    workers, planned = surveyed(8, 16)
    plan = dataclasses.replace(
        planned.plan,
        effort=dataclasses.replace(planned.plan.effort, thorough=False),
        shares={"steps": dataclasses.replace(planned.plan.shares["steps"], processes=2, rounds=2)},
        calibrations=1,
    )
    (tmp_path / "run").mkdir()
    journal = Journal.create(tmp_path / "run", header.first_line(planned, "it", "MNIST", program))
    session.Session(workers, journal, plan).measure()
    journal.close()
    record = folded(journal.lines)
    assert record.program.file == "training.py"
    assert (record.program.lacks, record.program.commit) == (["evaluate"], None)
    assert record.dataset.label == "training.py and its own images"
    assert [(m.id, m.images_per_repetition) for m in record.measurements] == [
        ("program[cpu-b8-t1]", 8),
        ("program[cpu-b16-t1]", 16),
    ]
    for measurement in record.measurements:
        assert len(measurement.samples_seconds) >= 4  # a disturbed round is repeated
        assert measurement.counters.aten_calls["aten::addmm float32"] == 1
        assert measurement.counters.parameter_bytes == 4 * 42
        assert measurement.breakdown.empty_step_seconds > 0
        assert measurement.command.startswith("fcnn-bench run --program training.py --device cpu --batch ")
    again = header.again(workers, journal.lines[0])
    assert {name: again[name] for name in ("own_program", "dataset", "cases")} == {
        name: journal.lines[0][name] for name in ("own_program", "dataset", "cases")
    }


def test_a_batch_that_fails_is_planned_all_the_same_and_its_turn_says_why(surveyed):
    _, planned = surveyed(8, 128)
    assert planned.own["program[cpu-b8-t1]"].repetition_seconds > 0
    as_of = dataclasses.replace(planned.own["program[cpu-b8-t1]"], images_per_step=None)  # which is the batch's own
    assert planned.own["program[cpu-b128-t1]"] == as_of
    assert set(planned.possible) == {"program[cpu-b8-t1]", "program[cpu-b128-t1]"}


def test_where_all_fail_the_first_ones_reason_is_the_commands(surveyed):
    with pytest.raises(BenchError, match="MemoryError: too many images"):
        surveyed(128, 256)


def test_without_a_program_there_is_no_case_of_it_and_with_one_no_other():
    assert why_impossible(Case(workload="program"), 100) == "no program was named: --program FILE.py"
    assert why_impossible(Case(workload="program"), None) is None
    assert "a case of the reference network" in why_impossible(Case(), None)
    chosen_too = Case(workload="program", precision="bf16")
    assert why_impossible(chosen_too, None) == "a program of your own decides its precision itself"


@pytest.mark.parametrize(
    ("option", "value"), [("precision", ["bf16"]), ("feed", ["loader"]), ("data", "images"), ("dataset", "KMNIST")]
)
def test_what_the_program_decides_cannot_be_chosen(program, option, value):
    with pytest.raises(BenchError, match=f"argument --{option}: with --program, that is decided by the program") as why:
        chosen(program, **{option: value})
    assert why.value.exit_code == USAGE


def test_a_run_goes_on_from_another_folder_as_it_began(program, monkeypatch, tmp_path):
    asked = own.asked(program)
    began = own.request(program)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert own.request(Path(asked["program"]), asked["folder"]) == began


def test_a_batch_size_that_is_not_minded_leaves_no_account(surveyed, program, tmp_path):
    text = program.read_text().replace("torch.randn(batch_size, 20)", "torch.randn(32, 20)")
    program.write_text(text.replace("images_per_step=batch_size", "images_per_step=32"))
    workers, _ = surveyed(8)
    with workers.start() as worker:
        case = dataclasses.asdict(Case(workload="program", batch_size=8, threads=1))
        seen = worker.ask("observe", case=case, seconds=1e-4, repetitions=5, thorough=False)
    assert seen["breakdown"] is None
    assert seen["counters"]["flops"] > 0


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(BenchError, match=r"argument --program: there is no file nowhere\.py"):
        own.request(Path("nowhere.py"))


@pytest.mark.parametrize("verb", ["run", "check", "profile"])
def test_a_file_that_is_no_python_is_refused_before_anything_is_started(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text(PROGRAM)
    (tmp_path / "link.py").symlink_to("notes.txt")
    for name in ("notes.txt", "link.py"):  # a link is what it leads to
        assert main([verb, "--program", name]) == USAGE
        said = f"fcnn-bench: argument --program: {name} is no Python file, whose name ends in .py\n"
        assert capsys.readouterr().err == said


def test_its_workload_without_a_program_is_refused_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--workload", "program"]) == USAGE
    assert "argument --workload: program is one of your own, which has to be named" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_its_repository_is_told_and_its_version_too(program, tmp_path):
    assert own.request(program)["tree"] == str(tmp_path.resolve())
    folder = tmp_path / "of" / "it"
    folder.mkdir(parents=True)
    program = program.rename(folder / "training.py")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    assert own.request(program) == {
        "tree": str(tmp_path.resolve()), "file": "of/it/training.py", "folder": str(Path.cwd())
    }  # fmt: skip
    assert not own.recorded(program, {})["commit"]["dirty"]
    before = own.recorded(program, {})["sha256"]
    (tmp_path / "of" / "it" / "training.py").write_text(f"{PROGRAM}\n# changed\n")
    assert own.recorded(program, {})["commit"]["dirty"]
    assert own.recorded(program, {})["sha256"] != before
    # Its own results make a repository dirty, and are no reason not to go on.
    then = {**own.recorded(program, {}), "commit": {**own.recorded(program, {})["commit"], "dirty": False}}
    assert own.again(program, then) == then
    # Versions of one program are compared, and programs of two names are not.
    assert own.dataset(program)["sha256"] == own.dataset(Path("elsewhere/training.py"))["sha256"]
    assert own.dataset(program)["sha256"] != own.dataset(Path("other.py"))["sha256"]


@pytest.mark.parametrize(("made", "processes"), [(0.01, 12), (2.0, 8), (60.0, 3)])
def test_what_takes_long_to_make_is_made_in_fewer_processes(program, monkeypatch, made, processes):
    monkeypatch.setattr(costs, "FORKS", True)
    cases = {str(case.batch_size): case for case in matrix.cases(chosen(program, batch=[8, 16]), "suite", ["cpu"])}
    facts = own.Facts(made_seconds=made, repetition_seconds=1e-3)
    plan = make(cases, 0, chosen(program), "suite", Rates(own=dict.fromkeys(cases.values(), facts)))
    assert plan.shares["steps"].processes == processes
    assert plan.effort.step_seconds == 10.0  # 20 s for both


@pytest.mark.slow
def test_a_run_of_it_from_the_command_line(program, tmp_path):
    words = ["run", "--program", program, "--device", "cpu", "--batch", "4,16", "--budget", "0.05"]
    ended = Command(FORKED + MAIN, *words, folder=tmp_path, environment={"CHECKSUMS": "[]"}).end()
    assert (ended.code, ended.err) == (0, "")
    assert "Your own program" in ended.out
    (folder,) = (tmp_path / "results").glob("*/*")
    assert {m.id for m in read(folder).measurements} == {"program[cpu-b4]", "program[cpu-b16]"}
    text = (folder / "report.md").read_text()
    assert text.startswith("# How fast does training.py train?")
    assert "precision" not in text.partition("## How to read this")[0].lower()
