"""Parts of a training as CUDA graphs: captured once for each shape of a batch, then replayed without Python.

A graph reads and writes the memory that it was captured with. So the images are copied into tensors of the graph's own,
weights and Adam's state stay where they are, and a training is put back in place to where it was before the capture.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from bench.measure.phases import REPLAY
from fcnn import train

Part = Callable[[train.Training, Tensor, Tensor], Tensor]  # of a step: from images and labels to their loss
CAPTURED_PARTS = ("to_device", REPLAY)
# As PyTorch's notes on CUDA graphs have it. The first run loads libraries and kernels, and makes Adam's state.
WARM_RUNS = 3


def capture(run: Callable[[], object], warm: Callable[[], object] | None = None) -> Callable[[], None]:
    """`run` as a CUDA graph; calling the answer replays it.

    Warmed up and captured `aside`, where also Adam's first step is made.

    Args:
        run: What to capture.
        warm: What meets all that `run` must not be the first to meet; `run` itself if None.
    """
    with aside():
        for _ in range(WARM_RUNS):
            (warm or run)()
    graph = torch.cuda.CUDAGraph()
    # cuBLAS works in memory that torch keeps for each stream, and frees for all of them when a model compiled with
    # reduce-overhead is captured in the same process; the graph would go on using it. So the capture takes its own,
    # from the graph's memory, and nothing else is left with that.
    _forget_workspaces()
    try:
        # Of this thread alone: a loader's thread that pins memory may go on meanwhile.
        with torch.cuda.graph(graph, stream=_side_stream(), capture_error_mode="thread_local"):
            run()
    finally:
        _forget_workspaces()
    return graph.replay


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """What is done on the stream on which graphs are captured.

    Autograd's nodes that accumulate gradients remember the stream that they were made on, and a capture may wait for no
    other (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs; pytorch pull requests 64339 and 180090).
    """
    side = _side_stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        yield
    torch.cuda.current_stream().wait_stream(side)


@functools.cache
def _side_stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()


def _forget_workspaces() -> None:
    """As `torch._inductor.cudagraph_trees` does around its captures; torch has no public name for it."""
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()


def captured(training: train.Training, run: Callable[[], object]) -> Callable[[], None]:
    """What replays `run`, which works on `training` and leaves it as it was before; it has been replayed once."""
    weights, made = list(training.model.parameters()), bool(training.optimizer.state)
    kept = [tensor.detach().clone() for tensor in (*weights, *_state(training))]
    replay = capture(run)
    replay()  # the first one brings the graph to the GPU
    state = _state(training)
    # Of a training that has not begun, Adam's state is made by the first step, from zeros.
    put_back([*weights, *state], kept if made else [*kept, *map(torch.zeros_like, state)])
    return replay


def _state(training: train.Training) -> list[Tensor]:
    return [value for state in training.optimizer.state.values() for value in state.values() if torch.is_tensor(value)]


@torch.no_grad()
def put_back(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Gives each of the tensors its value, in the memory that a graph knows."""
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


class _Graph:
    """A part captured for one shape of a batch; `loss` is overwritten by every replay."""

    def __init__(self, training: train.Training, part: Part, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = (tensor.to(training.device, copy=True) for tensor in (images, labels))
        self.loss = torch.zeros((), device=training.device)

        def run() -> None:
            self.loss = part(training, self.images, self.labels).detach()

        self.replay = captured(training, run)


class Replayed:
    """Takes the place of a part of a step, such as `fcnn.train.train_step`, and replays it as a CUDA graph.

    A shape of batch that was not met before, such as an epoch's smaller last batch, gets a graph of its own.

    Args:
        training: What it learns; its optimizer's state must be on the device (`capturable=True`).
        part: What to capture.
    """

    def __init__(self, training: train.Training, part: Part = train.train_step) -> None:
        self._training, self._part = training, part
        self._graphs: dict[torch.Size, _Graph] = {}

    def prepare(self, images: Tensor, labels: Tensor) -> _Graph:
        """The graph for batches like this one, captured if there is none; nothing is learnt."""
        if images.shape not in self._graphs:
            self._graphs[images.shape] = _Graph(self._training, self._part, images, labels)
        return self._graphs[images.shape]

    def __call__(
        self, training: train.Training, images: Tensor, labels: Tensor, mark: train.Mark = train.unmarked
    ) -> Tensor:
        """As `train_step`, of the training that it was made for; the marks are `CAPTURED_PARTS`.

        Returns:
            The batch's mean loss, on the device and valid until the next step.
        """
        graph = self.prepare(images, labels)
        graph.images.copy_(images, non_blocking=True)
        graph.labels.copy_(labels, non_blocking=True)
        mark(CAPTURED_PARTS[0])
        graph.replay()
        mark(CAPTURED_PARTS[1])
        return graph.loss
