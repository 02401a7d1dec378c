"""A broken accelerator costs no number of the CPU's."""

import contextlib

import pytest

from bench.axes.devices import DEVICES
from bench.measure import nvml
from bench.workers import presence
from bench.workers.conversation import WorkerDied, WorkerError
from tests.measure.machines import UUID, gpu, no_nvml
from tests.measure.simulated import SimulatedTime


class Workers:
    """Workers, one after the other, that answer by these functions of the request's name."""

    def __init__(self, *answering):
        self.answering, self.asked = iter(answering), []

    @contextlib.contextmanager
    def start(self, called):
        yield Worker(self, next(self.answering))


class Worker:
    def __init__(self, workers, answer):
        self.workers, self.answer = workers, answer

    def ask(self, name, limit_seconds=0.0, **arguments):
        self.workers.asked.append(name)
        return self.answer(name, **arguments)


def raising(error, when):
    def answer(name, **arguments):
        if name == when:
            raise error
        return {"cuda": None} if name == "try_devices" else f"{name} {arguments.get('reasons', {}).get('cuda', '')}"

    return answer


def facts(worker):
    return worker.ask("survey")


def test_a_survey_is_of_a_worker_that_has_tried_the_devices():
    workers = Workers(raising(None, "never"))
    assert presence.surveyed(workers, facts) == "survey "
    assert workers.asked == ["try_devices", "survey"]


@pytest.mark.parametrize("when", ["try_devices", "survey"])
def test_an_accelerator_that_takes_its_worker_with_it_is_set_aside_with_the_reason(when):
    told = []

    def second(name, **arguments):
        told.append(arguments.get("reasons"))
        return name

    workers = Workers(raising(WorkerDied("the survey died: it was killed by SIGSEGV"), when), second)
    assert presence.surveyed(workers, facts) == "survey"
    assert told[0]["cuda"] == "it is here and does not work: the survey died: it was killed by SIGSEGV"
    assert "cpu" not in told[0]


def test_without_an_accelerator_a_failed_survey_has_failed():
    def answer(name, **arguments):
        if name == "survey":
            raise WorkerError("no images")
        return {"cuda": "it is here and does not work"}

    with pytest.raises(WorkerError, match="no images"):
        presence.surveyed(Workers(answer), facts)


@pytest.mark.parametrize(
    ("exclusive", "by_several", "refused"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_gpu_that_takes_one_process_at_a_time_is_not_for_several(monkeypatch, exclusive, by_several, refused):
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda"))
    monkeypatch.setattr(presence, "ask_once", lambda *_: {"cuda": None})
    gpu(monkeypatch, DeviceGetComputeMode=3 if exclusive else 0).NVML_COMPUTEMODE_EXCLUSIVE_PROCESS = 3
    monkeypatch.setattr(nvml, "gpu_uuid", lambda: UUID)
    reason = presence.why_unusable(DEVICES["cuda"], by_several=by_several)
    assert (reason or "").startswith("it takes one process at a time") == refused


def test_whether_a_gpu_is_for_several_is_not_guessed_without_nvml(monkeypatch):
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda"))
    monkeypatch.setattr(presence, "ask_once", lambda *_: {"cuda": None})
    no_nvml(monkeypatch)
    assert presence.why_unusable(DEVICES["cuda"], by_several=True) is None
