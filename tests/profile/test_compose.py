"""A profile of what its processes answer, with processes that were made up."""

import dataclasses
from pathlib import Path

import pytest

from bench.axes.case import parse_id
from bench.errors import BenchError
from bench.profile import child, compose
from bench.profile.sampling import Sampled
from bench.workers.conversation import NoAnswer, WorkerDied, WorkerError
from bench.workers.process import worker_words
from tests.answers import check_request
from tests.profile.made import COMPILED, PROFILE, TRACED

CASE = dataclasses.replace(parse_id("step[cpu-b64-fp32-compile]"), threads=1)
IMAGES = compose.ImageSource("embedded", "", "digest", "5,000 images")


class Machine:
    """Where every process answers, or fails with a reason, by what it is asked for; `folders` are those they have."""

    def __init__(self):
        self.answers = {
            "trace": {**TRACED, "growth_bytes": 0, "disturbed": None},
            "memory": {"allocations": 7, "missing": {"holders": "memray is not installed"}},
            "compiled": {"compiled": dataclasses.asdict(COMPILED.compiled), "disturbed": None},
        }
        self.sampled = Sampled({"train_step": 3})
        self.folders = set()

    def ask_once(self, name, limit_seconds, called, environment, **arguments):
        assert 0 < limit_seconds <= 600
        self._check(name, arguments)
        self._enter(Path(environment["TMPDIR"]))
        if arguments["what"] == "trace":
            Path(arguments["file"]).write_bytes(b"trace")
        return self._answer(self.answers[arguments["what"]])

    def sample(self, words, request, folder, seconds):
        assert words == worker_words()
        self._check("profile", request)
        self._enter(folder)
        return self._answer(self.sampled)

    def _check(self, name, arguments):
        assert name == "profile"
        check_request(name, arguments)
        child.ProfileRequest(**arguments)

    def _enter(self, folder):
        assert folder.is_dir()
        self.folders.add(folder)

    def _answer(self, answer):
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(compose.settings, "default_threads", lambda: 2)
    monkeypatch.setattr(compose, "ask_once", machine.ask_once)
    monkeypatch.setattr(compose.sampling, "sample", machine.sample)
    return machine


def profiled(folder, source="working tree", **program):
    return compose.profile(CASE, compose.Source(folder, source, **program), IMAGES, folder, 40, lambda what: None)


def test_a_profile_has_all_sides(machine, tmp_path):
    profile = profiled(tmp_path)
    assert (profile.operators, profile.python_stacks) == (PROFILE.operators, {"train_step": 3})
    assert (profile.memory.allocations, profile.memory.growth_bytes) == (7, 0)
    assert profile.compiled == COMPILED.compiled
    assert (profile.missing, profile.disturbed) == ({}, None)
    assert (tmp_path / profile.trace_file).exists()
    assert not any(folder.exists() for folder in machine.folders)


def test_what_went_on_beside_any_timed_part_is_kept(machine, tmp_path):
    machine.answers["trace"]["disturbed"] = machine.answers["compiled"]["disturbed"] = "planted load"
    machine.sampled = Sampled({"train_step": 3}, disturbed="more load")
    assert profiled(tmp_path).disturbed == "planted load (trace, compiling); more load (Python stacks)"


def test_a_side_that_fails_costs_only_itself(machine, tmp_path):
    machine.answers["memory"] = WorkerError("it was killed by SIGKILL, as for lack of memory")
    machine.answers["compiled"] = WorkerError("fatal error: no such file")
    machine.sampled = BenchError("py-spy is not installed: pip install py-spy")
    profile = profiled(tmp_path)
    assert profile.missing == {
        "python": "py-spy is not installed: pip install py-spy",
        "compiled": "the process for compiled failed: fatal error: no such file",
    }
    assert profile.memory.missing == {
        "timeline and holders": "the process for memory failed: it was killed by SIGKILL, as for lack of memory"
    }
    assert profile.operators == PROFILE.operators


INTERRUPTED = [
    ("memory", {"compiled": "interrupted"}, {"timeline and holders": "interrupted"}),
    ("compiled", {"compiled": "interrupted"}, {"holders": "memray is not installed"}),
]


@pytest.mark.parametrize(("during", "missing", "of_memory"), INTERRUPTED)
def test_an_interruption_costs_only_what_is_left(machine, tmp_path, during, missing, of_memory):
    machine.answers[during] = KeyboardInterrupt()
    profile = profiled(tmp_path)
    assert profile.interrupted
    assert (profile.missing, profile.memory.missing) == (missing, of_memory)
    assert (profile.operators, profile.python_stacks) == (PROFILE.operators, {"train_step": 3})


def test_an_interruption_of_the_trace_leaves_nothing(machine, tmp_path):
    machine.answers["trace"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        profiled(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_trace_there_is_no_profile(machine, tmp_path):
    machine.answers["trace"] = WorkerError("planted")
    with pytest.raises(BenchError, match=r"^the process for trace failed: planted$") as failed:
        profiled(tmp_path)
    assert failed.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    assert not any(folder.exists() for folder in machine.folders)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (WorkerError("nets.py:20: ValueError: planted"), "nets.py:20: ValueError: planted"),
        (WorkerError("ValueError: planted"), "the process for trace failed: ValueError: planted"),
        (WorkerError("x" * 5000), f"the process for trace failed: {'x' * 5000}"),
        (NoAnswer("it gave no answer"), "it/training.py: it gave no answer"),
        (WorkerDied("planted"), "it/training.py: its process died while it was traced: planted"),
    ],
    ids=["its own", "another", "a long one", "hangs", "died"],
)
def test_why_a_program_of_the_users_own_failed_is_its_own_word(machine, tmp_path, error, message):
    (tmp_path / "nets.py").touch()
    machine.answers["trace"] = error
    for name, where in (("working tree", ""), ("HEAD~1", "at HEAD~1: ")):
        with pytest.raises(BenchError) as failed:
            profiled(tmp_path, name, program="it/training.py")
        assert (str(failed.value), failed.value.exit_code) == (f"{where}{message}", 3)


@pytest.mark.parametrize("ref", ["feature/é", ":/a message\nof <two> lines", "x" * 300, "../../elsewhere"])
def test_a_ref_of_any_name_gives_a_file_of_a_plain_one(machine, tmp_path, ref):
    name = profiled(tmp_path, ref).trace_file
    assert name.startswith("step-cpu-b64-fp32-compile-t1--at-")
    assert name.endswith(".json.gz")
    assert (tmp_path / name).exists()
    assert (len(name) < 200, name.isascii(), "/" in name) == (True, True, False)
    second = profiled(tmp_path, ref)  # the other side of a comparison
    assert second.trace_file == name.replace(".json.gz", "-b.json.gz")
