"""A worker's requests about a program of the user's own, asked in this process."""

import dataclasses
import gc
import sys
from pathlib import Path

import pytest
import torch

from bench.errors import BenchError
from bench.gate.own import OwnProgram
from bench.workers import own, turns
from bench.workers.serve import State, place_of

PROGRAM = """\
import torch
from types import SimpleNamespace


def make(device, batch_size, seed):
    torch.manual_seed(seed)
    weights = torch.randn(4, requires_grad=True, device=device)

    def step():
        (weights * torch.ones(batch_size, 4)).sum().backward()

    return SimpleNamespace(step=step, evaluate=lambda: RETURNED)
"""


# Its accuracy is a hundredth of its steps; looking leaves the model in the mode in which it learns no more.
COUNTING = """\
import torch
from types import SimpleNamespace


def make(device, batch_size, seed):
    model, done = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1)), []
    model[1].eval()  # frozen, which it stays

    def step():
        assert model.training and not model[1].training
        done.append(1)

    def evaluate():
        return len(done) / 100 if model.eval() else 0.0

    return SimpleNamespace(step=step, evaluate=evaluate, model=model)
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A worker's state with a program, and the fields of its case."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(gc, "disable", lambda: None)  # of a worker's process, and not of this one
    monkeypatch.chdir(Path.cwd())  # comes back to it

    def make(text=PROGRAM.replace("RETURNED", "0.5"), name="training.py"):
        (tmp_path / name).write_text(text)
        sys.modules.pop(f"program_{name.partition('.')[0]}", None)
        state = State()
        own.take(state, str(tmp_path), name, str(tmp_path))
        return state, dataclasses.asdict(OwnProgram(tmp_path, name, batch_size=8).case)

    yield make
    for name in [name for name in sys.modules if name.startswith("program_")]:
        del sys.modules[name]


def test_its_folder_comes_first_and_its_relative_paths_begin_where_it_is_called(made, tmp_path):
    made()
    assert sys.path[:2] == [str(tmp_path), str(tmp_path / "src")]
    assert Path.cwd() == tmp_path


def test_it_is_prepared_and_takes_its_turns(made):
    state, case = made()
    assert turns.prepare(state, "it", case)["repetition_seconds"] > 0
    seconds, device, graphs = turns.turn(state, "it", repetitions=2)
    assert (seconds > 0, device, graphs) == (True, None, 0)


def test_what_it_sets_of_torch_is_in_force_in_every_turn(made):
    """At import and in `make`; of threads it has as many as the case says."""
    seen = []
    text = PROGRAM.replace("import torch\n", "import torch\ntorch.set_float32_matmul_precision('high')\n", 1).replace(
        "    torch.manual_seed(seed)\n", "    torch.backends.cudnn.benchmark = True\n    torch.set_num_threads(2)\n"
    ).replace("RETURNED", "0.5")  # fmt: skip
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.get_num_threads()
    try:
        state, case = made(text)
        for size in (8, 16):  # the module is imported once
            turns.prepare(state, f"{size}", {**case, "batch_size": size})
            prepared = state.cases[f"{size}"][2]
            state.cases[f"{size}"] = (*state.cases[f"{size}"][:2], dataclasses.replace(prepared, repeat=look(seen)))
            turns.turn(state, f"{size}", 1)
        assert seen == [("high", True, 1)] * 2
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.set_num_threads(before[2])


def look(seen):
    return lambda: seen.append(
        (torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.get_num_threads())
    )


def test_what_it_has_and_has_not_is_told(made):
    state, case = made()
    assert own.facts(state, case)["lacks"] == ["model", "optimizer", "images_per_step"]
    state, case = made(PROGRAM.replace("evaluate=", "images_per_step=8, other="), "other.py")
    facts = own.facts(state, case)
    assert (facts["lacks"], facts["images_per_step"]) == (["model", "optimizer", "evaluate"], 8)


def test_a_number_of_images_that_is_none_is_refused(made):
    state, case = made(PROGRAM.replace("evaluate=", "images_per_step=0.5, evaluate="), "half.py")
    with pytest.raises(BenchError, match=r"half\.py: images_per_step is to be a whole number"):
        own.facts(state, case)


def test_a_step_is_counted_also_without_a_model_and_an_optimizer(made):
    state, case = made()
    found = own.count_step(state, case, growth=True)
    assert found["aten_calls"]["aten::mul float32"] == 2  # forward, and its gradient
    assert (found["parameter_bytes"], found["optimizer_state_bytes"], found["growth_bytes"]) == (None, None, 0)
    assert own.count_evaluation(state, case)["aten_calls"] == {}


def test_a_program_that_compiles_itself_is_counted_by_a_profile(made):
    text = PROGRAM.replace("    def step", "    @torch.compile(backend='eager')\n    def step").replace(
        "RETURNED", "0.5"
    )
    torch._dynamo.reset()  # of what another test has compiled in this process
    state, case = made(text, "compiled.py")
    calls = own.count_step(state, case, growth=False)["aten_calls"]
    assert calls["Torch-Compiled Region: 0/0"] == 1
    assert "aten::mul" in calls  # without its type, as a profile tells it


def test_what_is_learnt_is_the_mean_of_a_few_looks_along_the_way_and_learning_goes_on(made):
    state, case = made(COUNTING, "counting.py")
    assert own.learn(state, case, seed=0, steps=32) == pytest.approx((2 + 4 + 8 + 16 + 32) / 5 / 100)
    assert own.learn(state, case, seed=0, steps=1) == pytest.approx(0.01)


@pytest.mark.parametrize("said", ["1.5", "-0.1", "float('nan')", "None", "'good'", "torch.ones(2)"])
def test_what_is_no_accuracy_is_refused(made, said):
    state, case = made()
    assert own.learn(state, case, seed=0, steps=2) == 0.5
    state, case = made(PROGRAM.replace("RETURNED", said), "wrong.py")
    with pytest.raises(BenchError, match=r"wrong\.py: evaluate\(\) is to return an accuracy from 0 to 1"):
        own.learn(state, case, seed=0, steps=1)
    with pytest.raises(BenchError, match=r"wrong\.py: evaluate\(\) is to return an accuracy from 0 to 1"):
        own.count_evaluation(state, case)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "nothing.py", "nothing.py: defines no function make(device, batch_size, seed)"),
        ("make = 3", "number.py", "number.py: defines no function make(device, batch_size, seed)"),
        (
            "def make(device, batch_size):\n    pass",
            "two.py",
            "two.py: it is to be make(device, batch_size, seed): too many positional arguments",
        ),
        ("def make(*of):\n    return of", "tuple.py", "tuple.py: make() returned a tuple, which has no step()"),
        ("", "notes.txt", "notes.txt: is no Python file"),
        (
            PROGRAM.replace("evaluate=lambda: RETURNED", "optimizer=[]"),
            "list.py",
            "list.py: optimizer is a list, which has no param_groups",
        ),
        (
            PROGRAM.replace("evaluate=lambda: RETURNED", "evaluate=0.5"),
            "half.py",
            "half.py: evaluate is a float, which has no __call__",
        ),
    ],
)
def test_what_is_no_program_says_what_it_lacks(made, text, name, said):
    state, case = made(text, name)
    with pytest.raises(BenchError) as raised:
        own.facts(state, case)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("line", "package", "said"),
    [
        ("import bench.of_mine", "bench", "No module named 'bench.of_mine'"),
        ("from fcnn import Net", "fcnn", "cannot import name 'Net' from 'fcnn'"),
    ],
)
def test_a_package_of_the_programs_that_is_called_like_ours_is_named(made, line, package, said):
    state, case = made(f"{line}\n{PROGRAM}", "collides.py")
    with pytest.raises(BenchError) as raised:
        own.facts(state, case)
    assert str(raised.value).startswith(f"collides.py: {said}")
    assert str(raised.value).endswith(f": a package of fcnn-bench is called {package}, too, and is imported first")


@pytest.mark.parametrize(("folder", "package"), [("", ""), ("pkg/of", "pkg.of."), ("src/pkg", "pkg.")])
def test_a_relative_import_is_told_how_a_script_imports(made, tmp_path, folder, package):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "nets.py").write_text("net = 3\n")
    file = (Path(folder) / "relative.py").as_posix()
    state, case = made("from .nets import net\n", file)
    with pytest.raises(BenchError) as raised:
        own.facts(state, case)
    said = "ImportError: attempted relative import with no known parent package: the file is imported as a script is: "
    write = f"write `from {package}NAME import ...` in place of `from .NAME import ...`"
    assert str(raised.value) == f"{file}:1: {said}{write}"


def test_an_error_has_the_last_line_in_the_tree_that_it_came_through(made, tmp_path):
    state, case = made("def make(*of):\n    return int('no number')\n", "fails.py")
    with pytest.raises(ValueError, match="no number") as raised:
        own.facts(state, case)
    assert place_of(raised.value, str(tmp_path)) == "fails.py:2: "
    assert place_of(raised.value, "") == place_of(raised.value, "/nowhere") == ""
    state, case = made("def make(:\n", "torn.py")
    with pytest.raises(SyntaxError) as torn:
        own.facts(state, case)
    assert place_of(torn.value, str(tmp_path)) == "torn.py:1: "
