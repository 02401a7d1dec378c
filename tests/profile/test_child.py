"""What the processes of a profile answer, in this one."""

import dataclasses
import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.axes.case import parse_id
from bench.errors import BenchError
from bench.measure import counters, surroundings
from bench.profile import child, compiling, memory, origins, tracing
from bench.workers.images import EMBEDDED
from bench.workers.process import Process, empty_compiler_caches
from bench.workers.serve import State
from tests.data.images import embedded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def asked(tmp_path):
    """A request for a small step."""
    case = dataclasses.replace(parse_id("step[cpu-b16-fp32]"), threads=1)
    return child.ProfileRequest(
        what="", tree=str(ROOT), case=dataclasses.asdict(case), dataset=EMBEDDED, data="",
        sha256=embedded().sha256, label="", steps=3, seconds=0.0, file=str(tmp_path / "trace.json.gz"),
    )  # fmt: skip


@pytest.fixture
def watched(monkeypatch):
    """What is done while the surroundings are looked at, which are disturbed."""
    done = []

    class Surroundings:
        def __init__(self, device):
            assert device == "cpu"  # the case's
            done.append("begin")

        def disturbance(self):
            done.append("end")
            return "planted load"

    def noted(module, name):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *words: (done.append(name), function(*words))[1])

    monkeypatch.setattr(surroundings, "Surroundings", Surroundings)
    for name in ("timing", "trace", "overhead"):
        noted(tracing, name)
    noted(origins, "origins")
    monkeypatch.setattr(compiling, "compile_and_watch", lambda run: (done.append("compile"), COMPILED)[1])
    return done


COMPILED = compiling.CompiledCase(graphs=1, breaks=[], recompiles=[], kernels=[], stage_seconds={})


def test_other_images_than_were_asked_for_are_refused(asked):
    with pytest.raises(RuntimeError, match="these are other images than were asked for"):
        child._memory(dataclasses.replace(asked, sha256="0"))


@pytest.mark.slow
def test_all_that_is_timed_of_a_trace_is_watched(asked, watched, monkeypatch):
    for name in ("ROUNDS", "TRACES", "EMPTY_STEPS"):
        monkeypatch.setattr(tracing, name, 2)
    monkeypatch.setattr(tracing, "BLOCK_SECONDS", 0.0)
    monkeypatch.setattr(counters, "GROWTH_REPETITIONS", 2)
    assert child._trace(asked)["disturbed"] == "planted load"
    # `overhead` traces empty steps twice.
    assert watched == ["begin", "timing", "trace", "overhead", "trace", "trace", "end", "origins"]


def test_compiling_is_watched(asked, watched, monkeypatch, tmp_path):
    for name, folder in empty_compiler_caches(tmp_path).items():
        monkeypatch.setenv(name, folder)  # a process of its own keeps what it sets; here it is put back
    answer = child._compiled(asked)
    assert answer == {"compiled": dataclasses.asdict(COMPILED), "disturbed": "planted load"}
    assert watched == ["begin", "compile", "end"]


def test_a_side_of_the_memory_that_fails_costs_only_itself(asked, monkeypatch):
    def no_memray(*_):
        raise BenchError("memray is not installed: pip install memray")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory, "held_at_peak", no_memray)
    monkeypatch.setattr(memory, "timeline", full)
    answer = child._memory(asked)
    assert answer["allocations"] > 0
    assert answer["missing"] == {
        "holders": "memray is not installed: pip install memray",
        "timeline": "OSError: [Errno 28] No space left on device",
    }


@pytest.mark.parametrize(
    "content",
    [b"", gzip.compress(b""), gzip.compress(b'{"traceEvents": ['), b"\x1f\x8b\x08"],
    ids=["nothing", "empty", "cut off", "torn"],  # gzip writes the time into what it makes, so into a test's name
)
def test_a_trace_that_is_cut_off_names_the_place_that_may_be_full(tmp_path, content):
    (tmp_path / "trace.json.gz").write_bytes(content)
    with pytest.raises(RuntimeError, match=f"the trace is cut off, as where {tempfile.gettempdir()} is full"):
        tracing._without_host(tmp_path / "trace.json.gz")


@pytest.mark.slow
def test_it_ends_when_it_has_looked_and_is_asked_nothing_more(asked):
    """By itself: a profiler that looks at it writes at its end."""
    with Process() as process:
        process.ask("profile", 300, **{**dataclasses.asdict(asked), "what": "loop"})
        process.wait_for_end(60)
        assert process._process.returncode == 0


def test_it_knows_no_program_before_it_is_told_which():
    code = (
        "import sys; from bench.workers.serve import function; function('profile'); "
        "assert not [name for name in sys.modules if name.startswith('fcnn')]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_program_of_the_users_own_is_taken_apart_by_its_own_lines(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    for name in ("ROUNDS", "TRACES", "EMPTY_STEPS"):
        monkeypatch.setattr(tracing, name, 2)
    monkeypatch.setattr(tracing, "BLOCK_SECONDS", 0.0)
    monkeypatch.setattr(counters, "GROWTH_REPETITIONS", 2)
    (tmp_path / "own.py").write_text(
        "import torch\nfrom types import SimpleNamespace\n\n\ndef make(device, batch_size, seed):\n"
        "    x = torch.ones(batch_size, requires_grad=True)\n"
        "    return SimpleNamespace(step=lambda: (x.square() * 2).sum().backward())\n"
    )
    case = {**asked.case, "workload": "program"}
    program = dataclasses.replace(asked, case=case, tree=str(tmp_path), program="own.py", folder=str(tmp_path))
    try:
        seen = child.look(State(), **{**dataclasses.asdict(program), "what": "trace"})
    finally:
        sys.modules.pop("program_own", None)
    lines = {operator["line"] for operator in seen["operators"] if operator["name"] == "aten::pow"}
    assert lines == {"own.py:7 <lambda>"}
    # A product by its sign is no call of Python's: the function that it stands in is named.
    assert {o["line"] for o in seen["operators"] if o["name"] == "aten::mul"} == {"own.py:7 <lambda>"}
