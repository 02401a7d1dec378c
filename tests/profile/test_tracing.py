"""Real profiles of real steps; the trace is read by Holistic Trace Analysis, too."""

import dataclasses
import functools
import gzip
import json
import os
import socket

import pytest

from bench.axes.case import parse_id
from bench.axes.devices import DEVICES
from bench.errors import BenchError
from bench.profile import child, compose, tracing
from bench.profile.against import difference
from bench.profile.events import Ranges, within_steps
from bench.profile.origins import origins
from bench.profile.steps import MarkedSteps
from bench.workers.images import EMBEDDED
from fcnn import train
from fcnn.train import PARTS
from tests.data.images import embedded
from tests.profile.real import ROOT, steps_of_case

STEPS = 5


@functools.cache
def asked():
    return compose.ImageSource(EMBEDDED, "", embedded().sha256, "5,000 images")


@pytest.fixture(scope="module")
def images():
    return embedded()


@pytest.fixture(scope="module")
def traced(images, tmp_path_factory):
    case, steps = steps_of_case("step[cpu-b64-fp32]", images)
    file = tmp_path_factory.mktemp("traces") / "step.json.gz"
    found = tracing.trace(case, steps, STEPS, file)
    return case, steps, file, found.events, found.count


def test_every_step_has_its_parts_as_named_ranges(traced):
    _, steps, file, events, count = traced
    assert count == STEPS
    ranges = Ranges(events, steps.parts, count)
    host = within_steps(events, ranges)
    assert [e.name for e in host if e.name in PARTS] == list(PARTS) * STEPS
    with gzip.open(file, "rt", encoding="utf-8") as source:
        data = json.load(source)
    names = [event["name"] for event in data["traceEvents"] if event.get("ph") == "X"]
    for part in PARTS:
        assert names.count(part) >= STEPS
    assert "host_name" not in data
    assert socket.gethostname() not in json.dumps({k: v for k, v in data.items() if k != "traceEvents"})
    assert str(file.parent) not in data["traceName"]


@pytest.mark.slow
def test_a_reader_that_is_not_ours_reads_it(traced):
    trace_parser = pytest.importorskip("hta.common.trace_parser", reason="HolisticTraceAnalysis is not installed")
    from hta.configs.parser_config import ParserConfig

    _, _, file, _, _ = traced
    _, frame, symbols = trace_parser.parse_trace_dataframe(str(file), ParserConfig.get_default_cfg())
    table = symbols.get_sym_table()
    shown = [table[number] for number in frame["name"]]
    for part in PARTS:
        assert shown.count(part) >= STEPS
    assert shown.count("aten::addmm") == 2 * STEPS
    steps = frame[[name.startswith("ProfilerStep#") for name in shown]]
    assert len(steps) >= STEPS
    assert (steps["dur"] > 0).all()


@pytest.mark.slow
def test_a_trace_that_is_too_large_has_fewer_steps(images, tmp_path, monkeypatch):
    case, steps = steps_of_case("step[cpu-b16-fp32]", images)
    tracing.trace(case, steps, 8, tmp_path / "whole.json.gz")
    monkeypatch.setattr(tracing, "TRACE_LIMIT_BYTES", (tmp_path / "whole.json.gz").stat().st_size * 2 // 3)
    assert tracing.trace(case, steps, 8, tmp_path / "less.json.gz").count == 4
    assert (tmp_path / "less.json.gz").stat().st_size <= tracing.TRACE_LIMIT_BYTES


class Recording:
    """Stands for recordings of steps that take so many seconds each, one after the other."""

    def __init__(self, monkeypatch, *step_seconds):
        self.left = list(step_seconds)
        monkeypatch.setattr(tracing, "_recorded", lambda case, steps, count: (self.left.pop(0) * count, None))

    def usual(self, seconds):
        return tracing._usual(None, None, 10, seconds)[0] / 10


def test_of_several_traces_the_most_usual_one_is_kept(monkeypatch):
    monkeypatch.setattr(tracing, "TRACES", 4)
    monkeypatch.setattr(tracing, "TRACES_SECONDS", 100.0)
    assert Recording(monkeypatch, 1.5, 0.7, 1.2, 0.5, 9.0).usual(1.0) == pytest.approx(1.2)
    # It is not looked for a better one than that is.
    recording = Recording(monkeypatch, 1.5, 1.01, 1.0)
    assert recording.usual(1.0) == pytest.approx(1.01)
    assert recording.left == [1.0]
    assert Recording(monkeypatch, 1.5, 1.0).usual(None) == pytest.approx(1.5)
    # Steps that take long are not recorded again and again.
    assert Recording(monkeypatch, 75.0, 60.0, 50.0).usual(50.0) == pytest.approx(75.0)


def test_blocks_are_sized_by_steps_that_the_device_has_done(monkeypatch):
    done = []
    device = dataclasses.replace(DEVICES["cpu"], synchronize=lambda: done.append("wait"))
    monkeypatch.setitem(DEVICES, "cuda", device)
    steps = MarkedSteps(("step",), lambda mark, count: done.append(count))
    seconds = tracing.warm_step_seconds(parse_id("step[cuda-b64-fp32]"), steps)
    assert done == ["wait", tracing.WARM_STEPS, "wait"] * 2
    assert seconds >= 0


@pytest.mark.parametrize("id", ["epoch[cpu-b64-fp32]", "optimizer[cpu-b64-fp32]"])
def test_epochs_and_parts_have_steps_too(images, tmp_path, id):
    case, steps = steps_of_case(id, images)
    found = tracing.trace(case, steps, 3, tmp_path / "trace.json.gz")
    ranges = Ranges(found.events, steps.parts, found.count)
    assert len(ranges.steps) == 3
    assert [e.name for e in within_steps(found.events, ranges) if e.name in steps.parts] == list(steps.parts) * 3
    lines = {origin.line for origin in origins(case, steps, ROOT / "fcnn").values()}
    assert any(line.startswith("train.py:") for line in lines)


def test_more_steps_than_an_epoch_has_go_on_in_the_next(images):
    _, steps = steps_of_case("epoch[cpu-b1024-fp32]", images)  # 4,000 images: 4 steps an epoch
    marks: list[str] = []
    steps.run(marks.append, 10)
    assert marks.count("optimizer") == marks.count("fetch") == 10


def answered_here(patch):
    """Makes this process answer for those of the trace and the memory, with few rounds; takes a `MonkeyPatch`."""
    for name, value in (("ROUNDS", 2), ("TRACES", 1), ("EMPTY_STEPS", 5), ("BLOCK_SECONDS", 0.0)):
        patch.setattr(tracing, name, value)

    def answer(name, limit_seconds, called, environment, **arguments):
        assert name == "profile"
        asked = child.ProfileRequest(**arguments)
        return child.WAYS_TO_LOOK[asked.what](asked)

    patch.setattr(compose, "ask_once", answer)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    """A whole profile, Python's stacks from their process."""
    folder = tmp_path_factory.mktemp("profile")
    case = dataclasses.replace(parse_id("epoch[cpu-b64-fp32-loader]"), threads=1)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        answered_here(patch)
        patch.setattr(compose, "SAMPLED_SECONDS", 1.0)
        found = compose.profile(case, compose.Source(ROOT), asked(), folder, 4, said.append)
    return found, folder, said


@pytest.mark.slow
def test_a_whole_profile(profiled):
    found, folder, said = profiled
    assert said == ["trace", "Python stacks", "memory"]
    assert {path.name for path in folder.iterdir()} == {found.trace_file}
    assert [phase.phase for phase in found.phases] == ["fetch", *PARTS, "rest"]
    assert found.memory.peak is not None
    assert found.memory.growth_bytes == 0
    assert found.memory.allocations > 0
    assert found.cost.events > 100
    decoded = [operator for operator in found.operators if (operator.name, operator.phase) == ("aten::div", "fetch")]
    assert sum(operator.calls for operator in decoded) == 64
    assert {operator.line.partition(":")[0] for operator in decoded} == {"train.py"}


@pytest.mark.slow
def test_its_python_stacks_are_those_of_the_training_loop(profiled):
    found, _, _ = profiled
    if reason := found.missing.get("python"):
        assert os.environ.get("CI") is None, f"py-spy is installed and may look at its child: {reason}"
        pytest.skip(reason)
    # Which lines below it a second's samples have met is chance; that they are below it is not.
    assert {stack.partition(" (")[0] for stack in found.python_stacks} == {"train_epoch"}


@pytest.mark.slow
def test_memory_is_held_by_lines_of_the_program(profiled):
    found, _, _ = profiled
    if reason := found.memory.missing.get("holders"):
        pytest.skip(reason)
    assert any(holder.where.startswith("data.py:") for holder in found.memory.holders)


@pytest.mark.slow
def test_a_process_that_fails_is_one_line(tmp_path):
    case = dataclasses.replace(parse_id("step[cpu-b64-fp32]"), threads=1)
    source = compose.Source(tmp_path / "nowhere")
    with pytest.raises(BenchError, match="the process for trace failed: ModuleNotFoundError: No module named 'fcnn'"):
        compose.profile(case, source, asked(), tmp_path, 3, lambda what: None)


@pytest.mark.slow
def test_a_planted_fault_is_found_by_comparing(tmp_path, monkeypatch):
    """One more clone in the step: `--against` names it and its part."""
    answered_here(monkeypatch)
    monkeypatch.setitem(child.WAYS_TO_LOOK, "memory", lambda asked: {"missing": {}})
    monkeypatch.setattr(compose.sampling, "sample", lambda *_: compose.sampling.Sampled({}))
    case = dataclasses.replace(parse_id("step[cpu-b16-fp32]"), threads=1)

    def profiled():
        return compose.profile(case, compose.Source(ROOT), asked(), tmp_path, 4, lambda what: None)

    same, flatten = profiled(), train.flatten
    monkeypatch.setattr(train, "flatten", lambda images: flatten(images).clone())
    slower = profiled()
    assert same.trace_file != slower.trace_file
    rows = {(row.phase, row.name): row for row in difference(same, slower).operators}
    assert (rows["flatten", "aten::clone"].a_calls, rows["flatten", "aten::clone"].b_calls) == (0, 1)
