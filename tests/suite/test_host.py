"""The CPU beside a GPU: its threads, and what the GPU in sight costs it."""

import contextlib
import json

import pytest
import torch

from bench.measure import settings
from bench.record.model import Machine
from bench.suite import header, host
from bench.workers import survey
from bench.workers.conversation import WorkerError
from bench.workers.serve import State
from fcnn.data import load_images
from tests.suite.local import Workers, options


@pytest.mark.parametrize(
    ("seconds", "last", "chosen"),
    [
        ({1: [6e-4, 4e-2], 4: [5e-4, 1e-2], 16: [9e-4, 5e-3]}, None, 16),  # 4 is the fastest at 64, not over both
        ({1: [6e-4, 1e-2], 2: [5e-4, 1e-2], 4: [4.9e-4, 1e-2]}, None, 2),  # as good as 4
        ({1: [6e-4, 1e-2], 2: [5e-4, 1e-2], 4: [4.9e-4, 1e-2]}, 4, 4),  # the machine's last run used them
        ({1: [9e-4, 1e-2], 2: [5e-4, 1e-2]}, 1, 2),  # by now, that is clearly slower
        ({1: [9e-4, 1e-2]}, 32, 1),
    ],
)
def test_the_fastest_count_is_chosen_or_one_close_to_it(seconds, last, chosen):
    assert host.threads(seconds, last) == chosen


def test_the_last_choice_is_that_of_the_newest_record_of_the_machine(tmp_path):
    assert host.last_threads(tmp_path, "some-gpu") is None
    for run, text in [
        ("20260101T000000Z_a", json.dumps({"environment": {"settings": {"cpu_threads_chosen": 2}}})),
        ("20260102T000000Z_b", json.dumps({"environment": {"settings": {"cpu_threads_chosen": 8}}})),
    ]:
        (tmp_path / "some-gpu" / run).mkdir(parents=True)
        (tmp_path / "some-gpu" / run / "record.json").write_text(text)
    assert host.last_threads(tmp_path, "some-gpu") == 8
    (tmp_path / "some-gpu/20260102T000000Z_b/record.json").write_text("torn")
    assert host.last_threads(tmp_path, "some-gpu") is None


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


@pytest.fixture
def threads_restored(monkeypatch):
    monkeypatch.setattr(survey, "COUNT_SECONDS", 0.0)
    monkeypatch.setattr(survey, "_step_seconds", lambda *of: 1e-4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6])])
def test_counts_are_powers_of_two_up_to_the_cores(threads_restored, monkeypatch, images, cores, counts):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(settings, "usable_cores", lambda: cores)
    monkeypatch.setattr(survey, "_best_step_seconds", lambda state, batch, threads: threads * batch)
    found = survey.thread_seconds(State(images))
    assert found == {"batches": [64, 640], "seconds": {count: [count * 64, count * 640] for count in counts}}


def test_a_steps_time_with_a_count_is_above_nothing(threads_restored, images):
    assert survey._best_step_seconds(State(images), 64, 1) > 0


def test_a_count_that_the_environment_names_is_kept(monkeypatch, images, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with Workers(images).start() as worker:
        assert host.chosen_threads(worker, tmp_path, "some-gpu") == {}


@pytest.mark.parametrize(("gpu", "chosen", "threads"), [("a uuid", None, 7), ("a uuid", [1], 1), (None, None, 2)])
def test_only_beside_a_gpu_and_where_none_is_named_the_count_is_chosen(
    threads_restored, monkeypatch, images, tmp_path, gpu, chosen, threads
):
    monkeypatch.setattr(survey, "gpu", lambda state: gpu)
    monkeypatch.setattr(settings, "default_threads", lambda: 2)
    monkeypatch.setattr(survey.facts, "machine", lambda: Machine("some-gpu", "Some GPU"))
    monkeypatch.setattr(host, "chosen_threads", lambda worker, results, machine: {host.CHOSEN: 7})
    monkeypatch.setattr(host, "cost_of_gpu", lambda workers: {"told": "it"})
    asked = options(workload=["step"], batch=[64], threads=chosen, results=tmp_path)
    found = header.survey(Workers(images), asked, "quick")
    assert [case.threads for case in found.possible.values()] == [threads]
    told = found.facts["environment"]["settings"]
    assert told.get(host.CHOSEN) == (7 if gpu and not chosen else None)
    assert told.get("told") == ("it" if gpu else None)


class Sees:
    """A worker whose update takes so long."""

    def __init__(self, seconds, fails=False):
        self.seconds, self.fails, self.asked, self.threads = seconds, fails, [], []

    def ask(self, name, limit=0.0, **arguments):
        self.asked.append(name)
        self.threads += [arguments["case"]["threads"]] if name == "prepare" else []
        if self.fails:
            raise WorkerError("it died")
        return {"prepare": {"repetition_seconds": self.seconds}, "turn": [self.seconds, None, 0]}.get(name)


@pytest.mark.parametrize("fails", [False, True])
def test_the_update_is_timed_in_turns_with_the_gpu_in_sight_and_hidden(fails):
    pairs = [(Sees(1.5e-4), Sees(1.2e-4, fails))] * (host.PAIRS - 1) + [(Sees(2.4e-4), Sees(1.2e-4))]
    started = iter([worker for pair in pairs for worker in pair])

    class Two:
        @contextlib.contextmanager
        def start(self, called):
            yield next(started)

    found = host.cost_of_gpu(Two())
    if fails:
        assert found == {"cpu_optimizer_seconds": "not known: it died"}
    else:
        assert found == {
            "cpu_optimizer_seconds": 1.5e-4, "cpu_optimizer_gpu_hidden_seconds": 1.2e-4,
            "cpu_optimizer_gpu_ratio_least": 1.25, "cpu_optimizer_gpu_ratio_largest": 2.0,
        }  # fmt: skip
        seeing, blind = pairs[-1]
        assert blind.asked[0] == "hide_gpus"
        assert seeing.threads == blind.threads == [1]  # more of them scatter by more than is looked for
        assert seeing.asked.count("turn") == blind.asked.count("turn") == host.ROUNDS
