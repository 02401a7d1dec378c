"""What only a GPU can do: steps that are recorded once as a CUDA graph and then replayed without Python."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.ladder.program import BATCH_SIZE, FreshTraining, Steps
from bench.ladder.steps import generated, written_out
from bench.workers.capture import aside, capture, put_back
from fcnn import train
from fcnn.data import Images, as_tensors


def graph_a_step(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The reference's step, Adam included, is one CUDA graph; Python only says which images."""
    return replayed_steps(reference_steps(images, seed, device))


def graph_an_epoch(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """All steps of an epoch are one CUDA graph: a launch an epoch."""
    return replayed_epochs(reference_steps(images, seed, device))


def by_hand_in_a_graph(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The epoch's graph with forward and backward pass written out, and one tensor for Adam to update."""
    return replayed_epochs(written_out(images, seed, device))


def compiled_in_a_graph(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The epoch's graph with the step's kernels generated, the fastest of many candidates each."""
    return replayed_epochs(generated(images, seed, device, mode=MODE))


def bf16_in_a_graph(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The generated kernels with products in bfloat16, for which the GPU has tensor cores."""
    return replayed_epochs(generated(images, seed, device, mode=MODE, dtype=torch.bfloat16))


def two_kernels(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The epoch's graph with two kernels per step, written for this network."""
    from bench.ladder.kernels import steps_in_two_kernels  # here, since Triton is not everywhere

    return replayed_epochs(steps_in_two_kernels(images, seed, device))


def two_kernels_early(images: Images, seed: int, device: torch.device) -> FreshTraining:
    """The two kernels, each begun before the one before it has ended: it asks for its images and waits for that end."""
    from bench.ladder.kernels import steps_in_two_kernels

    return replayed_epochs(steps_in_two_kernels(images, seed, device, early=True))


MODE = "max-autotune-no-cudagraphs"  # the graph is made here: torch's own would hold a step and not an epoch


def reference_steps(images: Images, seed: int, device: torch.device) -> Steps:
    """The reference's own step, with an Adam that keeps its step count where a graph can count."""
    options = {"fused": True, "capturable": device.type == "cuda"}
    training = train.make_training(device, seed, optimizer_options=options)
    pixels, labels = (tensor.to(device) for tensor in as_tensors(images.train))
    total = torch.zeros((), device=device)

    def step(chosen: Tensor) -> None:
        total.add_(train.train_step(training, pixels.index_select(0, chosen), labels.index_select(0, chosen)))

    weights = list(training.model.parameters())
    begin = [weight.detach().clone() for weight in weights]
    # Adam's state is made in its first step, and so is what autograd remembers of a weight: the stream of its gradient,
    # which must be none that a graph does not record.
    with aside() if device.type == "cuda" else contextlib.nullcontext():
        step(torch.zeros(1, dtype=torch.int64, device=device))
    moments = [value for state in training.optimizer.state.values() for value in state.values()]
    put_back([*weights, *moments, total], [*begin, *map(torch.zeros_like, moments), torch.zeros_like(total)])
    generator = torch.Generator(device).manual_seed(seed)
    return Steps(step, len(labels), generator, [*weights, *moments, total], weights, total)


def replayed_steps(steps: Steps) -> FreshTraining:
    """A graph for a whole batch and one for the last, smaller one."""
    sizes = dict.fromkeys((BATCH_SIZE, steps.count % BATCH_SIZE or BATCH_SIZE))
    batches = {size: torch.zeros(size, dtype=torch.int64, device=steps.generator.device) for size in sizes}
    replays = {size: _recorded(steps, [batch]) for size, batch in batches.items()}

    def epoch() -> float:
        steps.total.zero_()
        for chosen in steps.order().split(BATCH_SIZE):
            batches[len(chosen)].copy_(chosen)
            replays[len(chosen)]()
        return steps.mean_loss()

    return FreshTraining(epoch, lambda: steps.weights)


def replayed_epochs(steps: Steps) -> FreshTraining:
    """A graph of all steps of an epoch, which take their images from one tensor of numbers."""
    order = torch.zeros(steps.count, dtype=torch.int64, device=steps.generator.device)
    replay = _recorded(steps, order.split(BATCH_SIZE))

    def epoch() -> float:
        steps.total.zero_()
        order.copy_(steps.order())
        replay()
        return steps.mean_loss()

    return FreshTraining(epoch, lambda: steps.weights)


def _recorded(steps: Steps, batches: Sequence[Tensor]) -> Callable[[], None]:
    """What replays the steps on what `batches` then hold; the training is as it was before."""
    before = [tensor.detach().clone() for tensor in steps.state]
    sizes = {len(batch): batch for batch in batches}
    replay = capture(
        lambda: [steps.step(batch) for batch in batches],
        # What may only happen once, such as loading libraries and generating code, happens before.
        warm=lambda: [steps.step(batch) for batch in sizes.values()],
    )
    replay()  # the first one also brings the graph to the GPU
    put_back(steps.state, before)
    return replay
