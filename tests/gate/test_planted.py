"""Faults planted in a copy of `fcnn`, each caught by its gate and called by its name; real worker processes."""

from __future__ import annotations

import dataclasses
import random
import shutil
from pathlib import Path

import psutil
import pytest

from bench.gate import accuracy, check, decide
from bench.gate.decide import FAIL, PASS
from bench.gate.outcome import ERROR
from bench.gate.sides import Side, Sides
from bench.gate.trees import Trees
from bench.gate.whole import Request
from bench.workers.conversation import WorkerDied
from bench.workers.forge import Forge
from tests.data.images import embedded

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
STEP, FUSED, EVALUATION, COMPILED = check.counted_on()
PREPARED = {"id": "x", "case": dataclasses.asdict(check.gate_case()), "warm_seconds": 0.1}


def copy_of_fcnn(folder: Path, file: str = "", old: str = "", new: str = "") -> Path:
    """A folder with `fcnn`, in whose `file` the one `old` is `new`."""
    shutil.copytree(ROOT / "fcnn", folder / "fcnn", ignore=shutil.ignore_patterns("__pycache__"))
    if file:
        path = folder / "fcnn" / file
        text = path.read_text("utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), "utf-8")
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return copy_of_fcnn(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def images():
    return embedded()


def counted(forge: Forge, reference: Path, candidate: Path, asked):
    sides = Sides.of(Trees(candidate, reference, "0"), forge)
    return check.timed("counts", asked[0], lambda: check._count(sides, [], *asked))


IN_THE_STEP = ("train.py", '    mark("loss")\n    backward(training, loss)\n')


@pytest.mark.parametrize(
    ("fault", "asked", "named"),
    [
        ((*IN_THE_STEP, "    loss.item()\n    backward(training, loss)\n"), STEP,
         "aten::_local_scalar_dense float32 4 -> 5 per step: `.item()`"),
        ((*IN_THE_STEP, "    backward(training, loss.clone())\n"), STEP,
         "aten::clone float32 0 -> 1 per step: a copy of a tensor"),
        ((*IN_THE_STEP, "    backward(training, loss.double())\n"), STEP,
         "aten::_to_copy float64 0 -> 1 per step: an upcast to float64"),
        ((*IN_THE_STEP, "    globals().setdefault('KEPT', []).append(scores)\n    backward(training, loss)\n"), STEP,
         "growth_bytes 0 -> "),
        (("train.py", "        with torch.no_grad():\n            for images, labels in batches:\n"
          "                predictions", "        if True:\n            for images, labels in batches:\n"
          "                predictions"), EVALUATION, "a missing `no_grad`"),
        (("model.py", "        return self.fc2(", "        self.calls = getattr(self, 'calls', 0) + 1\n"
          "        images = images * (1 + 0 * self.calls)\n        return self.fc2("), COMPILED,
         "recompile_reasons"),
    ],
    ids=["item", "clone", "float64", "leak", "no_grad", "recompile"],
)  # fmt: skip
def test_a_fault_that_counts_show_is_named(forge, reference, tmp_path, fault, asked, named):
    outcome = counted(forge, reference, copy_of_fcnn(tmp_path, *fault), asked)
    assert outcome.verdict == FAIL, outcome
    assert any(named in line for line in outcome.lines), outcome.lines


def test_a_program_that_breaks_is_an_error_with_its_message(forge, reference, tmp_path):
    broken = copy_of_fcnn(tmp_path, *IN_THE_STEP, "    raise ValueError('no such thing')\n")
    outcome = counted(forge, reference, broken, STEP)
    assert outcome.verdict == ERROR
    assert outcome.reason == "the candidate cannot be counted: fcnn/train.py:97: ValueError: no such thing"


def test_a_program_that_has_lost_a_file_is_an_error_wherever_else_that_may_be_found(forge, reference, tmp_path):
    torn = copy_of_fcnn(tmp_path, *IN_THE_STEP, "    pass\n")
    (torn / "fcnn" / "hyperparameters.py").unlink()
    outcome = counted(forge, reference, torn, STEP)
    assert outcome.verdict == ERROR
    assert outcome.reason.endswith("ModuleNotFoundError: No module named 'fcnn.hyperparameters'")


def test_a_compiled_program_without_a_graph_is_an_error(forge, reference, tmp_path):
    eager = copy_of_fcnn(tmp_path)
    with (eager / "fcnn" / "train.py").open("a") as file:
        file.write("torch.compiler.set_stance('force_eager')\n")
    outcome = counted(forge, reference, eager, COMPILED)
    assert outcome.verdict == ERROR
    assert "torch.compile made no graph" in outcome.reason


def test_a_worker_that_dies_is_an_error(forge, tmp_path):
    dying = copy_of_fcnn(tmp_path, *IN_THE_STEP, "    __import__('os')._exit(3)\n")
    with (
        Side(forge, dying).worker() as worker,
        pytest.raises(
            WorkerDied, match=r"^the worker died while it was made and warmed up: it ended with exit code 3$"
        ),
    ):
        worker.ask("prepare", **PREPARED)


def test_what_workers_compute_is_this_commands_work_and_no_others(reference, images, tmp_path):
    def spent(process: psutil.Process, children: bool = False) -> float:
        return sum(process.cpu_times()[2:4] if children else process.cpu_times()[:2])

    own, before = psutil.Process(), spent(psutil.Process(), children=True)
    file = check.save_images(images, tmp_path, check.STEP_IMAGES)
    with Forge({"file": str(file)}, passive=True) as of_its_own:
        with Side(of_its_own, reference).worker() as worker:
            worker.ask("prepare", **PREPARED)
            by_worker = spent(psutil.Process(worker.pid))
        by_forge = spent(psutil.Process(of_its_own._process.pid))
    assert spent(own, children=True) - before >= by_worker + by_forge - 0.05  # the kernel counts in hundredths
    assert by_worker > 0.1


def test_a_worker_measures_the_program_of_its_own_folder(forge, tmp_path):
    half = copy_of_fcnn(tmp_path, "hyperparameters.py", "hidden_size: int = 50", "hidden_size: int = 25")
    with Side(forge, half).worker() as worker:
        found = worker.ask("count", case=dataclasses.asdict(check.gate_case()))
    assert found["flops"] == 64 * 2 * (2 * 784 * 25 + 3 * 25 * 10)


def test_twice_the_time_does_not_pass(forge, reference, tmp_path):
    """By real pairs; how little is seen, and how seldom something that is not there, simulations tell."""
    # Busy waiting for as long as the step takes: sleeping is only as fine as the system's timer.
    begin = "    images, labels = to_device(training, images, labels)\n    mark"
    slow = copy_of_fcnn(tmp_path, "train.py", begin, f"    import time\n    begin = time.perf_counter()\n{begin}")
    train = slow / "fcnn" / "train.py"
    wait = "    end = 2 * time.perf_counter() - begin\n    while time.perf_counter() < end:\n        pass\n"
    end = "    return loss.detach()\n"
    train.write_text(train.read_text("utf-8").replace(end, wait + end), "utf-8")
    few = decide.TimingRule(screening_pairs=3, fail_alpha=0.5, more_pairs=1)
    outcome = check.time_case(Sides.of(Trees(slow, reference, "0"), forge), check.gate_case(), few, random.Random(0))
    assert outcome.verdict != PASS
    assert outcome.raw["slowdown_fraction"] > 0.5


def trained(forge: Forge, tree: Path, images) -> accuracy.Judgement:
    known = accuracy.read_reference(images.name, images.sha256, ROOT / accuracy.REFERENCE_FOLDER)
    with Side(forge, tree).worker() as worker:
        found = worker.ask("train", seeds=[0, 1], batch_size=64, epochs=known.epochs, threads=1)
    return accuracy.judge(found, known, accuracy.AccuracyRule())


def test_correct_code_is_as_accurate_as_the_reference(forge, reference, images):
    assert trained(forge, reference, images).passed


@pytest.mark.parametrize(
    "fault",
    [
        ("hyperparameters.py", "learning_rate: float = 0.001", "learning_rate: float = 0.0001"),
        (
            "data.py",
            "        order = torch.randperm(len(self.labels), generator=self._generator, device=self.images.device)\n",
            "        order = self.labels.argsort()\n",
        ),
    ],
    ids=["learning rate 10 times lower", "not shuffled, with sorted labels"],
)
def test_a_fault_that_learning_shows_is_caught(forge, images, tmp_path, fault):
    judged = trained(forge, copy_of_fcnn(tmp_path, *fault), images)
    assert not judged.passed
    assert judged.reason.startswith("less accurate")


def test_one_program_on_both_sides_passes_without_being_timed(reference, tmp_path):
    same = Sides.of(Trees(copy_of_fcnn(tmp_path), reference, "0"), None)
    request = Request(tmp_path, "HEAD", check.timed_on())
    (outcome,) = check.GATES["timing"](same, request, None, [])
    assert (outcome.verdict, outcome.raw) == (PASS, {})
    assert "one program and not two" in outcome.reason
    assert not dataclasses.replace(same, apart=True).same  # the environments differ
    (tmp_path / "fcnn" / "more.py").write_text("")
    assert not same.same
