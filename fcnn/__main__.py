"""`python -m fcnn`: trains the reference on MNIST and says how well and how fast."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fcnn.hyperparameters import REFERENCE

USAGE, INTERRUPTED = 2, 3


def make_parser() -> argparse.ArgumentParser:
    """The options; torch is not needed to show them."""
    h = REFERENCE
    parser = argparse.ArgumentParser(prog="python -m fcnn", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--device", help="cpu, cuda, ...; default: the best one here")
    parser.add_argument("--dataset", default="MNIST", help="MNIST, FashionMNIST, KMNIST or QMNIST")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data root; else FCNN_DATA, else the cache folder")
    parser.add_argument("--epochs", type=_whole, default=h.num_epochs, metavar="N", help=f"({h.num_epochs})")
    parser.add_argument("--batch-size", type=_whole, default=h.batch_size, metavar="N", help=f"({h.batch_size})")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="same seed, same result on one machine (0)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a checkpoint at the end")
    parser.add_argument("--load", type=Path, metavar="FILE", help="go on from a checkpoint")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**63 - 1")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, trains and returns the exit code; a user's error is one line on stderr."""
    options = make_parser().parse_args(argv)
    try:
        # Importing torch takes the first second, and is when a misspelt command is interrupted.
        from fcnn.checkpoint import CheckpointError
        from fcnn.device import DeviceError
        from fcnn.idx import DataError

        try:
            run(options)
        except (CheckpointError, DataError, DeviceError) as error:
            print(f"fcnn: {error}", file=sys.stderr)
            return USAGE
    except KeyboardInterrupt:
        print("fcnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def run(options: argparse.Namespace) -> None:
    """Trains and evaluates as the tutorial does: DataLoaders, one epoch, the seven-part step."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from fcnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
    from fcnn.data import load_images, loader
    from fcnn.device import choose_device
    from fcnn.train import evaluate, make_training, train_epoch

    if options.save and not options.save.parent.is_dir():  # said before the training, not after it
        raise CheckpointError(f"checkpoint {options.save} cannot be written: there is no folder {options.save.parent}")
    device = choose_device(options.device)
    images = load_images(options.dataset, options.data)
    print(f"device {device}, {images.label}")
    training = make_training(device, options.seed)
    done = load_checkpoint(options.load, training) if options.load else 0
    batches = loader(images.train, options.batch_size, shuffle=True, seed=options.seed)

    console = Console(no_color="NO_COLOR" in os.environ or None)
    console.quiet = not console.is_terminal or "CI" in os.environ  # rich 13 ends a hidden bar with a line, too
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seconds = 0.0
    for epoch in range(done + 1, done + options.epochs + 1):
        begin = time.perf_counter()
        with Progress(*columns, console=console, transient=True, disable=console.quiet) as progress:
            task = progress.add_task("", total=len(batches))
            loss = train_epoch(training, batches, on_step=lambda step, to=task: progress.update(to, completed=step))  # type: ignore[misc]
        # train_epoch has read the loss, so the device is done as well.
        seconds += time.perf_counter() - begin
        last = len(images.train) - (len(batches) - 1) * options.batch_size
        print(
            f"epoch {epoch}: loss {loss:.4f}, {len(batches)} steps of {options.batch_size} images, the last of {last}"
        )

    if options.save:
        save_checkpoint(options.save, training, done + options.epochs)
    for name, dataset in (("training", images.train), ("test", images.test)):
        accuracy = evaluate(training.model, loader(dataset, options.batch_size, shuffle=False), device)
        print(f"{name} accuracy {accuracy:.2%}")
    print(f"trained in {seconds:.2f} s (data loading included, evaluation not)")


if __name__ == "__main__":
    sys.exit(main())
