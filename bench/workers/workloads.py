"""What one repetition of a workload does. Everything here calls the real `fcnn.train`; nothing is copied."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.feeds import FEEDS, resident, shuffled
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.measure.claims import Fed
from fcnn import train
from fcnn.data import TensorBatches, as_tensors

if TYPE_CHECKING:
    from fcnn.data import Images

Batch = tuple[torch.Tensor, torch.Tensor]
SEED = 0
FIRST_BATCHES = 50  # to warm an epoch up
STEP_BATCHES = 4096  # different batches a step case cycles through: more than it trains on, where there are so many


@dataclass(frozen=True)
class Prepared:
    """A case ready to be timed.

    Attributes:
        repeat: One repetition.
        images_per_repetition: Images it trains on; None where none are.
        training: What it works on.
        counted: The repetition whose calls and bytes are counted: `repeat`, or one step of an epoch.
        marked: The repetition with a mark after each of its parts, of an epoch its first `steps` if that is given; None
            for a part alone.
        first: A short piece of a long repetition, which meets all that `repeat` must not be the first to meet.
        beginning: The first steps of a long repetition, so many of them.
        fed: What an epoch's `marked` was last given; None for all others.
    """

    repeat: Callable[[], object]
    images_per_repetition: int | None
    training: train.Training
    counted: Callable[[], object]
    marked: Callable[..., object] | None = None
    first: Callable[[], object] | None = None
    beginning: Callable[[int], object] | None = None
    fed: Fed | None = None


def make_training(case: Case, seed: int = SEED) -> train.Training:
    """A fresh seeded model, loss and optimizer as `case` wants them, on its device."""
    precision, compiler = PRECISIONS[case.precision], COMPILERS[case.compiler]

    def wrap(model: torch.nn.Module) -> torch.nn.Module:
        # dynamic=False: the smaller last batch of an epoch gets its own graph instead of slowing the others down.
        compiled: torch.nn.Module = torch.compile(model, mode=compiler.mode, dynamic=False)  # type: ignore[assignment]
        return compiled

    return train.make_training(
        torch.device(DEVICES[case.device].torch_name),
        seed,
        optimizer_options=OPTIMIZERS[case.optimizer].options,
        amp_dtype=getattr(torch, precision.amp_dtype) if precision.amp_dtype else None,
        use_scaler=precision.use_scaler,
        wrap=wrap if compiler.mode else None,
    )


def _full_batches(images: Images, case: Case) -> itertools.cycle[Batch]:
    """Cycles through different whole batches where the feed keeps them, slices of images that all cases share.

    Different batches, because a network that sees one batch for thousands of steps learns it by heart, and no training
    has gradients like those.
    """
    pixels, labels = shuffled(images)
    count = min(STEP_BATCHES, len(labels) // case.batch_size)
    pixels, labels = pixels[: count * case.batch_size], labels[: count * case.batch_size]
    if case.feed == "device":
        name = DEVICES[case.device].torch_name
        pixels, labels = pixels.to(name), labels.to(name)
    return itertools.cycle(list(zip(pixels.split(case.batch_size), labels.split(case.batch_size), strict=True)))


def step(case: Case, images: Images, training: train.Training | None = None) -> Prepared:
    """The whole training step of a fresh training, or of `training`.

    The loader feed belongs to epochs; a step takes its batches ready-made.
    """
    training, batches = training or make_training(case), _full_batches(images, case)

    def marked(mark: train.Mark = train.unmarked) -> None:
        train.train_step(training, *next(batches), mark)

    return Prepared(marked, case.batch_size, training, marked, marked)


def forward(case: Case, images: Images) -> Prepared:
    """Scores and loss of a batch that is on the device, with the graph for a backward pass."""
    training, batches = make_training(case), _full_batches(images, case)

    def repeat() -> torch.Tensor:
        pixels, labels = train.to_device(training, *next(batches))
        return train.compute_loss(training, train.forward(training, train.flatten(pixels)), labels)

    return Prepared(repeat, case.batch_size, training, repeat)


def forward_backward(case: Case, images: Images) -> Prepared:
    """Forward, loss and gradients, which start from none each time."""
    training, batches = make_training(case), _full_batches(images, case)

    def repeat() -> None:
        training.optimizer.zero_grad()
        pixels, labels = train.to_device(training, *next(batches))
        loss = train.compute_loss(training, train.forward(training, train.flatten(pixels)), labels)
        train.backward(training, loss)

    return Prepared(repeat, case.batch_size, training, repeat)


def optimizer(case: Case, images: Images) -> Prepared:
    """Adam's update alone, with the gradients of one real batch."""
    training = make_training(case)
    train.train_step(training, *next(_full_batches(images, case)))

    def repeat() -> None:
        train.optimizer_step(training)

    return Prepared(repeat, None, training, repeat)


def epoch(case: Case, images: Images) -> Prepared:
    """Every training image once, in a new order each time, from the case's feed; the last batch may be smaller."""
    training, batches = make_training(case), FEEDS[case.feed].batches(images, case, SEED)
    fed = Fed(len(images.train))

    def looked_at(found: Iterable[Batch]) -> Iterator[Batch]:
        for pixels, labels in found:
            fed.batch_sizes.append(len(labels))
            yield pixels, labels

    def marked(mark: train.Mark = train.unmarked, steps: int | None = None) -> None:
        fed.batch_sizes = []
        train.train_epoch(training, looked_at(itertools.islice(batches, steps)), mark)
        fed.whole = steps is None or len(fed.batch_sizes) < steps  # it ended by itself

    def first() -> None:
        train.train_epoch(training, first_batches(batches, case, images))

    @functools.cache  # made when something is counted: a loader's epoch is to have the memory of a loader's epoch
    def whole() -> itertools.cycle[Batch]:
        return _full_batches(images, case)

    def counted() -> None:
        train.train_step(training, *next(whole()))

    def beginning(steps: int) -> None:
        train.train_epoch(training, itertools.islice(batches, steps))

    return Prepared(
        lambda: train.train_epoch(training, batches),
        len(images.train),
        training,
        counted,
        marked,
        first,
        beginning,
        fed,
    )


def first_batches(batches: Iterable[Batch], case: Case, images: Images) -> list[Batch]:
    """The first batches of an epoch, and one of the last one's size: a compiled step gets a graph of its own for it."""
    found = list(itertools.islice(batches, FIRST_BATCHES))
    last = len(images.train) % case.batch_size
    pixels, labels = found[0]
    return [*found, (pixels[:last], labels[:last])] if last else found


BUILDERS: dict[str, Callable[[Case, Images], Prepared]] = {
    "forward": forward,
    "forward_backward": forward_backward,
    "optimizer": optimizer,
    "step": step,
    "epoch": epoch,
}


def evaluation_batches(images: Images, device: str) -> dict[str, TensorBatches]:
    """Training and test images as large resident batches on `device`, for evaluation outside the timed part."""
    name = DEVICES[device].torch_name
    tensors = {"train": resident(images), "test": as_tensors(images.test)}
    return {
        key: TensorBatches(pixels.to(name), labels.to(name), 2048, shuffle=False)
        for key, (pixels, labels) in tensors.items()
    }
