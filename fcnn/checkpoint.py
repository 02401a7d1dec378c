"""Saving a training and going on from it."""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fcnn.train import Training


class CheckpointError(Exception):
    """A checkpoint that cannot be written, read, or used with this network. The message is for the user."""


def _plain(model: nn.Module) -> Any:
    """The model itself where it is wrapped by torch.compile, so that names do not depend on compiling."""
    return getattr(model, "_orig_mod", model)


def save_checkpoint(path: Path, training: Training, epoch: int) -> None:
    """Writes weights, optimizer state and the number of epochs done; `path` is replaced whole or not at all.

    Raises:
        CheckpointError: The file cannot be written.
    """
    state = {"model": _plain(training.model).state_dict(), "optimizer": training.optimizer.state_dict(), "epoch": epoch}
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            torch.save(state, file)
        Path(temporary).replace(path)
    except (OSError, RuntimeError) as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise CheckpointError(f"checkpoint {path} cannot be written: {error}") from error


def load_checkpoint(path: Path, training: Training) -> int:
    """Fills `training` from the file and returns the number of epochs done. Only weights are unpickled, never code.

    Raises:
        CheckpointError: The file is missing, not a checkpoint, or of another network.
    """
    try:
        state = torch.load(path, map_location=training.device, weights_only=True)
        _plain(training.model).load_state_dict(state["model"])
        training.optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path} is not a checkpoint of this network: {reason}") from error
