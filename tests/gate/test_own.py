"""A program of the user's own, in another repository, called from another folder: real workers, planted faults."""

import contextlib
import functools
import json
import subprocess
from pathlib import Path

import pytest

from bench.cli import main
from bench.gate import check, own
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS
from bench.gate.outcome import ERROR, SHOWN
from bench.gate.own import judge
from bench.gate.sides import Sides
from bench.gate.trees import Trees
from bench.gate.whole import Request
from bench.workers.conversation import WorkerError

PROGRAM = """\
import torch
from network import network


class Training:
    def __init__(self, device, batch_size, seed):
        torch.manual_seed(seed)
        self.images, self.labels = torch.randn(1024, 1, 12, 12), torch.randint(0, 10, (1024,))
        self.model, self.batch_size, self.at = network().to(device), batch_size, 0
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self):
        rows = slice(self.at, self.at + self.batch_size)
        self.at = (self.at + self.batch_size) % 1024
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.model(self.images[rows]), self.labels[rows])
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def evaluate(self):
        return float((self.model(self.images).argmax(1) == self.labels).float().mean())


def make(device, batch_size, seed):
    return Training(device, batch_size, seed)
"""
NETWORK = """\
from torch import nn


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 10))
"""
DETACHED = "        return loss.detach()\n"


def git(folder, *words):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """With the program in a folder of it, and another current folder."""
    root = tmp_path / "a repository"
    (root / "training").mkdir(parents=True)
    (root / "training" / "train.py").write_text(PROGRAM)
    (root / "training" / "network.py").write_text(NETWORK)
    git(root.parent, "init", "-q", "-b", "main", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "the first")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return root


@pytest.fixture
def asked(forge, tmp_path):
    """Asks a gate about the program and a copy of it with one change; no repository is needed for that."""

    def ask(gate, old="", new="", file="train.py", both=False, **of):
        for side in ("reference", "candidate"):
            folder = tmp_path / side / "training"
            folder.mkdir(parents=True)
            for name, text in (("train.py", PROGRAM), ("network.py", NETWORK)):
                (folder / name).write_text(text)
            if old and (both or side == "candidate"):
                change(folder, old, new, file)
        program = own.OwnProgram(tmp_path, "training/train.py", **of)
        sides = Sides.of(Trees(tmp_path / "candidate", tmp_path / "reference", "0", program.file), forge)
        return list(own.GATES[gate](sides, Request(tmp_path, "HEAD"), program, []))

    return ask


def change(folder, old, new, file="train.py"):
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))


@pytest.mark.slow
def test_from_another_folder_what_has_not_changed_passes(repository, monkeypatch, capsys):
    monkeypatch.setattr(own, "LEARN_SECONDS", 0.05)
    program = repository / "training" / "train.py"
    words = ["check", "--program", str(program), "HEAD", "--output", "out", "--gates", "counts", "accuracy"]
    assert main(words) == 0
    outcomes = json.loads(Path("out/check.json").read_text())["outcomes"]
    assert [(one["gate"], one["verdict"]) for one in outcomes] == [*[("counts", PASS)] * 2, ("accuracy", PASS)]
    assert outcomes[-1]["reason"].startswith("the same to the last digit from 3 seeds")
    assert "PASS against" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (DETACHED, "        loss.item()\n" + DETACHED, "aten::_local_scalar_dense float32 0 -> 1 per step: `"),
        ("self.images[rows])", "self.images[rows].clone())", "aten::clone float32 0 -> 1 per step"),
        (DETACHED, "        self.kept = [*getattr(self, 'kept', []), loss]\n" + DETACHED, "growth_bytes 0 -> "),
    ],
)
def test_a_fault_that_counts_show_is_named(asked, old, new, named):
    step, evaluation = asked("counts", old, new)
    assert (step.verdict, evaluation.verdict) == (FAIL, PASS)
    assert any(line.startswith(named) for line in step.lines)


@pytest.mark.slow
def test_a_fault_in_a_file_that_it_imports_is_the_candidates_alone(asked):
    step, evaluation = asked("counts", "nn.ReLU()", "nn.Tanh()", "network.py")
    assert {"aten::relu float32 1 -> 0 per step", "aten::tanh float32 0 -> 1 per step"} <= set(step.lines)
    assert evaluation.verdict == FAIL


@pytest.mark.slow
def test_a_smaller_learning_rate_is_seen_by_what_it_learns(asked, monkeypatch):
    monkeypatch.setattr(own, "LEARN_SECONDS", 0.02)
    monkeypatch.setattr(own, "LOOKS", (11,))
    (outcome,) = asked("accuracy", "lr=0.1", "lr=0.001")
    assert outcome.verdict == FAIL
    assert outcome.reason.startswith("less accurate: -")


@pytest.mark.slow
def test_pairs_of_it_are_timed(asked, monkeypatch):
    few = functools.partial(check.decide.TimingRule, screening_pairs=2, fail_alpha=0.5, more_pairs=0)
    monkeypatch.setattr(own.decide, "TimingRule", few)
    again = "        loss.backward(retain_graph=True)\n" * 6 + "        loss.backward()\n"
    (outcome,) = asked("timing", "        loss.backward()\n", again, batch_size=16)
    assert outcome.case == "train.py[cpu-b16-t1]"
    assert outcome.raw["slowdown_fraction"] > 0.2


@pytest.mark.slow
def test_files_that_are_the_same_are_not_timed(asked):
    (outcome,) = asked("timing")
    assert (outcome.verdict, outcome.raw) == (PASS, {})
    assert "one program and not two" in outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("        loss.backward()\n", "        1 / 0\n", "training/train.py:17: ZeroDivisionError: division by zero"),
        ("class Training:", "class Training", "training/train.py:5: SyntaxError: expected ':'"),
        ("from network import", "from networks import", "training/train.py:2: ModuleNotFoundError: No module named"),
    ],
)
def test_an_error_in_it_is_one_line_with_its_own_file_and_line(asked, old, new, said):
    outcome, *_ = asked("counts", old, new)
    assert outcome.verdict == ERROR
    assert said in outcome.reason
    assert outcome.reason.count("train.py") == 1  # of a SyntaxError, too, whose text has a place of its own
    assert outcome.reason.startswith("the candidate: ")


@pytest.mark.slow
def test_what_it_has_not_is_not_judged_and_that_is_told(asked):
    (outcome,) = asked("accuracy", "    def evaluate(self)", "    def evaluated(self)", both=True)
    assert outcome.verdict == SHOWN
    assert outcome.reason == "it has no evaluate(), so what it learns is not judged"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--program", "none.py"], "argument --program: there is no file none.py"),
        (["--batch", "8"], "--batch belongs to --program"),
    ],
)
def test_what_names_no_program_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_program_outside_of_a_repository_is_not_comparable(tmp_path, monkeypatch, capsys):
    (tmp_path / "train.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--program", "train.py"]) == 4
    why = "train.py lies in no git repository, whose commits it is compared with: git init there, and commit it"
    assert capsys.readouterr().err == f"fcnn-bench: {why}\n"


def test_it_is_called_by_its_file_and_its_path_in_the_repository(repository):
    found = own.find(repository / "training" / "train.py", 16)
    assert (found.root, found.file, found.id) == (repository, "training/train.py", "train.py[cpu-b16-t1]")


@pytest.mark.parametrize(
    ("drop", "verdict"),
    [(0.02, FAIL), (0.0, PASS), (-0.02, PASS)],
)
def test_a_drop_fails_and_none_passes_and_a_better_one_passes(drop, verdict):
    reference = [0.90 + 0.001 * (seed % 5) for seed in range(12)]
    candidate = [one - drop + 0.0005 * (-1) ** seed for seed, one in enumerate(reference)]
    assert judge(reference, candidate)[0] == verdict


def test_scatter_that_shows_neither_is_inconclusive():
    reference = [0.9] * 12
    assert judge(reference, [0.9 + 0.05 * (-1) ** seed for seed in range(12)])[0] == INCONCLUSIVE


class Answers:
    """Stands for a forge: its workers answer by the request's name, from the arguments."""

    def __init__(self, **answers):
        self.answers = answers

    @contextlib.contextmanager
    def worker(self, called):
        yield self

    def ask(self, request, limit_seconds=0.0, **arguments):
        if request == "own":
            return None
        answer = self.answers[request](arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer


def told(gate, candidate=None, **request):
    """What a gate says of a program with these answers, the candidate's where they differ."""
    usual = {
        "own_facts": lambda of: {"repetition_seconds": 0.01, "lacks": []},
        "own_count": lambda of: {"allocations": 3, "growth_bytes": 0 if of["growth"] else None},
        "own_count_evaluation": lambda of: {"allocations": 1},
        "own_learn": lambda of: 0.9 + of["seed"] / 1000,
    }
    program = own.OwnProgram(Path("/nowhere"), "train.py")
    sides = Sides.of(
        Trees(Path("/a"), Path("/b"), "0", "train.py"), Answers(**usual | (candidate or {})), Answers(**usual)
    )
    return list(own.GATES[gate](sides, Request(Path("/nowhere"), "HEAD", **request), program, []))


def test_both_of_its_functions_are_counted():
    assert [(one.case, one.verdict) for one in told("counts")] == [
        ("train.py[cpu-b64-t1]", PASS),
        ("evaluation of train.py[cpu-b64-t1]", PASS),
    ]
    step, _ = told("counts", {"own_count": lambda of: {"allocations": 4, "growth_bytes": 0}})
    assert step.lines == ["allocations 3 -> 4 per step: tensors made"]
    step, _ = told("counts", {"own_count": lambda of: {"allocations": 4, "growth_bytes": 0}}, judges_counts=False)
    assert step.verdict == SHOWN


def test_what_one_side_cannot_do_is_an_error_with_its_name():
    step, _ = told("counts", {"own_count": lambda of: WorkerError("train.py:3: KeyError: 'x'")})
    assert (step.verdict, step.reason) == (ERROR, "the candidate: train.py:3: KeyError: 'x'")


def test_learning_takes_as_many_seeds_as_it_needs():
    (same,) = told("accuracy")
    assert (same.verdict, len(same.raw["candidate"])) == (PASS, own.SAME_SEEDS)
    assert same.reason == "the same to the last digit from 3 seeds, along 200 steps"
    (worse,) = told("accuracy", {"own_learn": lambda of: 0.85 + of["seed"] / 1000})
    assert (worse.verdict, len(worse.raw["candidate"])) == (FAIL, own.LOOKS[0])
    (unclear,) = told("accuracy", {"own_learn": lambda of: 0.9 + of["seed"] / 1000 + 0.02 * (-1) ** of["seed"]})
    assert (unclear.verdict, len(unclear.raw["candidate"])) == (INCONCLUSIVE, own.LOOKS[1])
