"""What one repetition of a workload does. Everything here calls the real `fcnn.train`; nothing is copied."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bench.axes.axis import hyperparameters
from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.feeds import FEEDS, resident, shuffled
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS
from bench.measure.breakdown import EMPTY
from bench.measure.claims import Fed
from bench.workers.capture import CAPTURED_PARTS, Part, Replayed, captured
from fcnn import train
from fcnn.data import TensorBatches, as_tensors
from fcnn.hyperparameters import REFERENCE

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
        captured_from: What `counted` replays as a CUDA graph; None if it replays none.
        marked: The repetition with a mark after each of its parts, of an epoch its first `steps` if that is given; None
            for a part alone.
        first: A short piece of a long repetition, which meets all that `repeat` must not be the first to meet.
        beginning: The first steps of a long repetition, so many of them.
        fed: What an epoch's `marked` was last given; None for all others.
        parts: What a step marks, in order.
    """

    repeat: Callable[[], object]
    images_per_repetition: int | None
    training: train.Training
    counted: Callable[[], object]
    captured_from: Callable[[], object] | None = None
    marked: Callable[..., object] | None = None
    first: Callable[[], object] | None = None
    beginning: Callable[[int], object] | None = None
    fed: Fed | None = None
    parts: tuple[str, ...] = train.PARTS

    @property
    def watched(self) -> Callable[[], object]:
        """What makes the calls of `counted`: a replay makes none."""
        return self.captured_from or self.counted


def make_training(case: Case, seed: int = SEED) -> train.Training:
    """A fresh seeded model, loss and optimizer as `case` wants them, on its device."""
    precision, compiler = PRECISIONS[case.precision], COMPILERS[case.compiler]

    def wrap(model: torch.nn.Module) -> torch.nn.Module:
        # dynamic=False: the smaller last batch of an epoch gets its own graph instead of slowing the others down.
        compiled: torch.nn.Module = torch.compile(model, mode=compiler.mode, dynamic=False)  # type: ignore[assignment]
        return compiled

    # Only where they are others: the `fcnn` of another tree may have other names for them.
    changed = hyperparameters(case)
    sizes = {"hyperparameters": dataclasses.replace(REFERENCE, **changed)} if changed else {}
    device, options = torch.device(DEVICES[case.device].torch_name), OPTIMIZERS[case.optimizer].options
    if compiler.captured and device.type == "cuda":
        options = {**options, "capturable": True}
        # It is also run without a graph: before the capture, and to count what it calls.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
    return train.make_training(
        device,
        seed,
        optimizer_options=options,
        amp_dtype=getattr(torch, precision.amp_dtype) if precision.amp_dtype else None,
        use_scaler=precision.use_scaler,
        wrap=wrap if compiler.mode else None,
        **sizes,
    )


def learning(case: Case, training: train.Training, like: Iterable[Batch] = ()) -> Callable[..., float]:
    """`train_epoch` of a training, with its steps replayed if the case captures them, graphs for batches `like` first.

    The keyword goes only with a step that is captured: the `fcnn` of another tree may not have it.
    """
    if not COMPILERS[case.compiler].captured:
        return functools.partial(train.train_epoch, training)
    step = Replayed(training)
    for images, labels in like:
        step.prepare(images, labels)
    return functools.partial(train.train_epoch, training, step=step)


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
    replayed = Replayed(training) if COMPILERS[case.compiler].captured else None
    learn = replayed or train.train_step

    def marked(mark: train.Mark = train.unmarked) -> None:
        learn(training, *next(batches), mark)

    def eager() -> None:
        train.train_step(training, *next(batches))

    return Prepared(
        marked,
        case.batch_size,
        training,
        counted=marked,
        captured_from=eager if replayed else None,
        marked=marked,
        parts=CAPTURED_PARTS if replayed else train.PARTS,
    )


def scores(training: train.Training, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The scores of a batch, without a graph for a backward pass."""
    images, labels = train.to_device(training, images, labels)
    with torch.no_grad():
        return train.forward(training, train.flatten(images))


def scores_and_loss(training: train.Training, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean loss of a batch, with the graph for a backward pass."""
    images, labels = train.to_device(training, images, labels)
    return train.compute_loss(training, train.forward(training, train.flatten(images)), labels)


def gradients(training: train.Training, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean loss of a batch, with the parameters' gradients, which start from none each time."""
    training.optimizer.zero_grad()
    loss = scores_and_loss(training, images, labels)
    train.backward(training, loss)
    return loss


def forward(case: Case, images: Images) -> Prepared:
    """Scores and loss of a batch that is on the device, with the graph for a backward pass."""
    return _part(case, images, scores_and_loss)


def forward_backward(case: Case, images: Images) -> Prepared:
    """Forward, loss and gradients, which start from none each time."""
    return _part(case, images, gradients)


def _part(case: Case, images: Images, part: Part) -> Prepared:
    training, batches, compiler = make_training(case), _full_batches(images, case), COMPILERS[case.compiler]
    compute: Part = Replayed(training, part) if compiler.captured else part
    # Where torch replays graphs of its own, it takes a forward pass without a backward pass for one that is not yet
    # over, and leaves its graphs aside, unless it is told that another step begins.
    marks_steps = compiler.cuda_graphs and case.device == "cuda"

    def repeat() -> object:
        if marks_steps:
            torch.compiler.cudagraph_mark_step_begin()
        return compute(training, *next(batches))

    def eager() -> object:
        return part(training, *next(batches))

    return Prepared(repeat, case.batch_size, training, repeat, captured_from=eager if compiler.captured else None)


def inference(case: Case, images: Images) -> Prepared:
    """Scores of a batch that is on the device, as in use: in eval mode, without gradients."""
    prepared = _part(case, images, scores)
    prepared.training.model.eval()
    return prepared


def optimizer(case: Case, images: Images) -> Prepared:
    """Adam's update alone, with the gradients of one real batch."""
    training = make_training(case)
    train.train_step(training, *next(_full_batches(images, case)))
    update = functools.partial(train.optimizer_step, training)
    if not COMPILERS[case.compiler].captured:
        return Prepared(update, None, training, update)
    replay = captured(training, update)
    return Prepared(replay, None, training, replay, captured_from=update)


def epoch(case: Case, images: Images) -> Prepared:
    """Every training image once, in a new order each time, from the case's feed; the last batch may be smaller."""
    training, batches = make_training(case), FEEDS[case.feed].batches(images, case, SEED)
    learn, is_captured = learning(case, training), COMPILERS[case.compiler].captured
    fed = Fed(len(images.train))

    def looked_at(stream: Iterable[Batch]) -> Iterator[Batch]:
        for pixels, labels in stream:
            fed.batch_sizes.append(len(labels))
            yield pixels, labels

    def marked(mark: train.Mark = train.unmarked, steps: int | None = None) -> None:
        fed.batch_sizes = []
        learn(looked_at(itertools.islice(batches, steps)), mark)
        fed.whole = steps is None or len(fed.batch_sizes) < steps  # it ended by itself

    def first() -> None:
        learn(first_batches(batches, case, images))

    @functools.cache  # made when something is counted: a loader's epoch is to have the memory of a loader's epoch
    def one() -> Prepared:
        return step(case, images, training)

    def counted() -> None:
        one().counted()

    def eager() -> None:
        one().watched()

    def beginning(steps: int) -> None:
        learn(itertools.islice(batches, steps))

    return Prepared(
        lambda: learn(batches),
        len(images.train),
        training,
        counted=counted,
        captured_from=eager if is_captured else None,
        marked=marked,
        first=first,
        beginning=beginning,
        fed=fed,
        parts=CAPTURED_PARTS if is_captured else train.PARTS,
    )


def first_batches(batches: Iterable[Batch], case: Case, images: Images) -> list[Batch]:
    """The first batches of an epoch, and one of the last one's size: a compiled step gets a graph of its own for it."""
    first = list(itertools.islice(batches, FIRST_BATCHES))
    last = len(images.train) % case.batch_size
    pixels, labels = first[0]
    return [*first, (pixels[:last], labels[:last])] if last else first


BUILDERS: dict[str, Callable[[Case, Images], Prepared]] = {
    builder.__name__: builder for builder in (forward, forward_backward, optimizer, step, epoch, inference)
}


def empty(case: Case, images: Images) -> Prepared:
    """The same operators as a case's step has, or a step of its epoch, with next to nothing to do."""
    repetition = WORKLOADS[case.workload].repetition
    name = case.workload if repetition == "step" else "step"
    return BUILDERS[name](dataclasses.replace(case, workload=name, **EMPTY), images)  # type: ignore[arg-type]


def evaluation_batches(images: Images, device: str) -> dict[str, TensorBatches]:
    """Training and test images as large resident batches on `device`, for evaluation outside the timed part."""
    name = DEVICES[device].torch_name
    tensors = {"train": resident(images), "test": as_tensors(images.test)}
    return {
        key: TensorBatches(pixels.to(name), labels.to(name), 2048, shuffle=False)
        for key, (pixels, labels) in tensors.items()
    }
