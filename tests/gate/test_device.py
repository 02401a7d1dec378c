"""The gate on an accelerator: what is asked of workers, and both clocks; workers that answer at once stand for it."""

import contextlib
import random

import pytest

from bench.axes.case import case_id
from bench.cli import main
from bench.gate import check, verb
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, TimingRule
from bench.gate.outcome import ERROR
from bench.gate.paired import DEVICE_LEAD_SECONDS, Pair, measure_pair
from bench.gate.sides import Sides
from bench.gate.trees import Trees
from bench.gate.whole import Request
from bench.workers.conversation import NoAnswer, WorkerError
from tests.answers import check_request

GPU = check.timed_on("cuda")[0]


class Simulated:
    """Makes workers of a device with events: a step takes so long on the host, and so long on the device.

    By `scatter`, a fraction, every worker has more or less of the latter.
    """

    def __init__(self, host=1e-3, device=0.9e-3, fails=None, scatter=0.0):
        self.times, self.fails, self.scatter, self.asked = (host, device), fails, scatter, []
        self.noise, self.factor = random.Random(1), 1.0

    @contextlib.contextmanager
    def worker(self, called):
        yield self

    def ask(self, request, limit_seconds=0.0, **arguments):
        check_request(request, arguments)
        self.asked.append((request, arguments))
        if self.fails and self.fails[0] == request:
            raise self.fails[1]
        if request == "turn":
            host, device = (seconds * self.noise.uniform(1, 1.002) for seconds in self.times)
            return [host, device * self.factor, 0]
        if request == "prepare":
            self.factor = 1 + self.scatter * self.noise.choice((-1, 1))
        return {"repetition_seconds": 1e-3} if request == "prepare" else None

    def begin(self, request, **arguments):
        self.begun = request, arguments

    def end(self):
        request, arguments = self.begun
        return self.ask(request, **arguments)


@pytest.fixture
def sides(tmp_path):
    """Of an accelerator, the candidate as it is said to be."""
    return lambda **candidate: Sides.of(Trees(tmp_path, tmp_path, "0"), Simulated(**candidate), Simulated())


def timed(of):
    rule = TimingRule(cases=check.clocks_of("cuda"))
    return check.time_case(of, GPU, rule, random.Random(0))


def test_it_is_judged_by_both_clocks_and_named_by_the_worse(sides):
    assert check.clocks_of("cpu") == 1
    same, host, device = timed(sides()), timed(sides(host=1.2e-3)), timed(sides(device=1.2e-3))
    assert (same.verdict, host.verdict, device.verdict) == (PASS, FAIL, FAIL)
    assert host.reason.startswith("by the host's clock: slower by 20.")
    assert device.reason.startswith("by the device's events: slower by 33.")
    assert case_id(GPU) == same.case == "step[cuda-b64-fp32-device-t1]"


def test_one_clock_that_cannot_tell_is_no_pass(sides):
    outcome = timed(sides(scatter=0.2))
    assert outcome.verdict == INCONCLUSIVE
    assert outcome.reason.startswith("by the device's events: ")


def test_a_pair_is_not_pinned_and_works_a_little_before_it_is_timed(sides):
    of = sides()
    pair = measure_pair(of.reference, of.candidate, GPU, random.Random(0))
    assert pair.device_log_ratio == pytest.approx(0, abs=0.01)
    asked = [*of.reference.forge.asked, *of.candidate.forge.asked]
    assert "pin" not in {request for request, _ in asked}
    assert {arguments["lead_seconds"] for request, arguments in asked if request == "turn"} == {DEVICE_LEAD_SECONDS}


def test_without_events_there_is_one_clock():
    assert Pair([1.0] * 4, [1.1] * 4).device_log_ratio is None


def test_its_steps_are_counted_with_the_images_in_either_memory_and_its_accuracy_is_its_own(sides):
    counted = check.counted_on("cuda")
    assert [id for id, *_ in counted] == [
        "step[cuda-b64-fp32-device-t1]", "step[cuda-b64-fp32-fused-device-t1]", "step[cuda-b64-fp32-t1]",
        "evaluation[cuda-fp32-t1]", "step[cuda-b64-fp32-compile-device-t1]",
    ]  # fmt: skip
    assert {case.device for _, _, case in counted} == {"cuda"}
    of = sides()
    with of.candidate.worker() as worker, contextlib.suppress(TypeError):  # it answers with no accuracy
        check.accuracy_of(worker, 0, 1, "cuda")
    assert of.candidate.forge.asked[-1][1]["device"] == "cuda"


@pytest.mark.parametrize("request_name", ["prepare", "turn"])
def test_a_side_that_fails_is_named_once(sides, request_name):
    outcome = check.timed("timing", "it", lambda: timed(sides(fails=(request_name, WorkerError("out of memory")))))
    assert (outcome.verdict, outcome.reason) == (ERROR, "the candidate: out of memory")
    hangs = NoAnswer("the candidate gave no answer within 60 s")
    with pytest.raises(NoAnswer) as raised:  # nor will it answer the next question
        timed(sides(fails=(request_name, hangs)))
    assert str(raised.value) == str(hangs)


def test_a_device_that_is_not_here_is_one_line_before_anything_is_done(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(verb, "why_unusable", lambda row, **_: f"no {row.name} here")
    assert main(["check", "HEAD", "--device", "cuda", "--output", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err == "fcnn-bench: nothing to check: no cuda here\n"
    assert main(["check", "--baseline", "x", "--device", "cuda"]) == 2


def test_the_device_reaches_the_gates(monkeypatch, tmp_path):
    asked = []

    def checked(request, say):
        asked.append(request)
        raise check.BenchError("enough")

    monkeypatch.setattr(verb, "why_unusable", lambda row, **_: None)
    monkeypatch.setattr(verb, "check", checked)
    main(["check", "HEAD", "--device", "cuda", "--all", "--output", str(tmp_path / "out")])
    (request,) = asked
    assert isinstance(request, Request)
    assert request.device == "cuda"
    assert {(case.device, case.feed) for case in request.timed} == {("cuda", "device")}
    assert len(request.timed) == 5
    assert request.timed[0] == GPU
