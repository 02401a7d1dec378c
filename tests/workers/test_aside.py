"""On which stream a graph's first runs are, Adam's first step among them, and in which order streams wait."""

import pytest
import torch

from bench.ladder import graphs
from bench.workers import capture
from bench.workers.capture import WARM_RUNS
from fcnn.data import load_images
from fcnn.train import make_training, train_step
from tests.measure.streams import Streams

WARMED = ["side waits for main", *["step on side"] * WARM_RUNS, "main waits for side"]


@pytest.fixture
def streams(monkeypatch):
    capture._side_stream.cache_clear()
    yield Streams(monkeypatch)
    capture._side_stream.cache_clear()


@pytest.mark.parametrize("warm", [False, True])
def test_what_is_captured_has_run_on_the_side_stream_that_both_wait_for(streams, warm):
    def note():
        streams.note("step")

    replay = capture.capture((lambda: streams.note("run")) if warm else note, note if warm else None)
    captured = f"{'run' if warm else 'step'} on side, captured"
    assert streams.notes == [*WARMED, captured]
    replay()
    assert streams.notes[-1] == "replay on main"


def test_a_trainings_first_step_makes_adams_state_on_the_side_stream(streams):
    made = make_training(torch.device("cpu"))
    images, labels = torch.rand(8, 784), torch.randint(10, (8,))

    def step():
        streams.note("step" if made.optimizer.state else "first step")
        train_step(made, images, labels)

    capture.captured(made, step)
    first = [note.replace("step", "first step") if number == 1 else note for number, note in enumerate(WARMED)]
    assert streams.notes == [*first, "step on side, captured", "replay on main"]


class Pretended(str):
    """A device of torch's that says to be a GPU."""

    type = "cuda"


def test_the_first_step_of_the_ladders_graphs_is_on_the_side_stream(streams, mnist_root, monkeypatch):
    def step(*of):
        streams.note("step")
        return train_step(*of)

    monkeypatch.setattr(graphs.train, "train_step", step)
    images = load_images("MNIST", mnist_root)
    graphs.reference_steps(images, 0, torch.device("cpu"))
    assert streams.notes == ["step on main"]
    streams.notes.clear()
    graphs.reference_steps(images, 0, Pretended("cpu"))
    assert streams.notes == ["side waits for main", "step on side", "main waits for side"]
