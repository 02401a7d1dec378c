"""`python -m fcnn`: trains the reference on MNIST and says how well and how fast."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fcnn import interruption
from fcnn.hyperparameters import REFERENCE
from fcnn.output import SafeParser, failure_line, safe_streams, show, step_counter

DONE, USAGE, BROKEN = 0, 2, 3
LIMIT = 2**63  # of torch's integers


def make_parser() -> argparse.ArgumentParser:
    """The options; torch is not needed to show them."""
    h = REFERENCE
    parser = SafeParser(prog="python -m fcnn", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--device", help="cpu, cuda, ...; default: the best one here")
    parser.add_argument("--dataset", default="MNIST", help="MNIST, FashionMNIST, KMNIST or QMNIST")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data root; else FCNN_DATA, else the cache folder")
    parser.add_argument("--epochs", type=_whole, default=h.num_epochs, metavar="N", help=f"({h.num_epochs})")
    parser.add_argument("--batch-size", type=_whole, default=h.batch_size, metavar="N", help=f"({h.batch_size})")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="same seed, same result on one machine (0)")
    parser.add_argument("--save", type=_file, metavar="FILE", help="write a checkpoint after every epoch")
    parser.add_argument("--load", type=_file, metavar="FILE", help="go on from a checkpoint")
    return parser


def _path(text: str) -> Path:
    # The shell expands `--save ~/x`, but not `--save=~/x`. pathlib would take the file ./~x for the home of a user x.
    return Path(os.path.expanduser(text))  # noqa: PTH111


def _file(text: str) -> Path:
    # pathlib drops the slash, and would write a file of that name.
    if not text or text.endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"{text!r} is no file's name")
    return _path(text)


def _whole(text: str, least: int = 1) -> int:
    # Python refuses to read a number of more than 4,300 digits.
    if not text.isdecimal() or len(text) > 19 or not least <= int(text) < LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to 2**63 - 1")
    return int(text)


def _seed(text: str) -> int:
    return _whole(text, least=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, trains and returns the exit code; an error is one line on stderr."""
    with safe_streams():
        options = make_parser().parse_args(argv)
        try:
            # Importing torch takes the first second, and is when a misspelt command is interrupted. It waits for the
            # end: numpy swallows an interrupt, or is left half-imported by it.
            with interruption.deferred():
                from fcnn.checkpoint import CheckpointError
                from fcnn.data import DataError
                from fcnn.device import DeviceError

            try:
                run(options)
            except (CheckpointError, DataError, DeviceError) as error:
                show(f"fcnn: {error}", sys.stderr)
                return USAGE
        except KeyboardInterrupt as interrupt:
            show(f"fcnn: interrupted{interrupt}", sys.stderr)
            return BROKEN
        except Exception as error:
            show(f"fcnn: {failure_line(error)}", sys.stderr)
            return BROKEN
    return DONE


def run(options: argparse.Namespace) -> None:
    """Trains and evaluates as the tutorial does: DataLoaders, one epoch, the seven-part step."""
    from fcnn.checkpoint import check_saving, load_checkpoint, save_checkpoint
    from fcnn.data import load_images, loader
    from fcnn.device import choose_device
    from fcnn.train import evaluate, make_training, train_epoch

    device = choose_device(options.device)
    training = make_training(device, options.seed)
    done = load_checkpoint(options.load, training) if options.load else 0
    if options.save:
        check_saving(options.save, training)
    images = load_images(options.dataset, options.data)
    show(f"device {device}, {images.label}", sys.stdout)
    batches = loader(images.train, options.batch_size, shuffle=True, seed=options.seed)

    seconds = 0.0
    for epoch in range(done + 1, done + options.epochs + 1):
        begin = time.perf_counter()
        try:
            loss = train_epoch(training, batches, on_step=_on_step(len(batches)))
        except KeyboardInterrupt:
            saved = options.save and epoch > done + 1
            raise KeyboardInterrupt(f"; {options.save} has the {epoch - 1} before" if saved else "") from None
        # train_epoch has read the loss, so the device is done as well.
        seconds += time.perf_counter() - begin
        if options.save:
            with interruption.deferred():
                save_checkpoint(options.save, training, epoch)
        show(f"epoch {epoch}: loss {loss:.4f}, {_steps(len(images.train), options.batch_size)}", sys.stdout)

    for name, dataset in (("training", images.train), ("test", images.test)):
        accuracy = evaluate(training.model, loader(dataset, options.batch_size, shuffle=False), device)
        show(f"{name} accuracy {accuracy:.2%}", sys.stdout)
    show(f"trained in {seconds:.2f} s (data loading included, evaluation not)", sys.stdout)


def _on_step(total: int) -> Callable[[int], None]:
    """What is done after every step: the counter on a terminal, and a look at whether an interrupt was swallowed."""
    count = step_counter(total)

    def done(step: int) -> None:
        interruption.check()
        if count:
            count(step)

    return done


def _steps(images: int, batch_size: int) -> str:
    """`938 steps of 64 images, the last of 32`."""
    steps = -(-images // batch_size)
    if steps == 1:
        return f"1 step of {images} images"
    last = images - (steps - 1) * batch_size
    return f"{steps} steps of {batch_size} {'image' if batch_size == 1 else 'images'}, the last of {last}"
