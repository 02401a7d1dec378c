"""Saving a training and going on from it."""

import contextlib
import io
import math
import os
import secrets
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcnn.train import Training

MARGIN_BYTES = 1 << 16  # for the names of the moments
# What torch.save began its files with before version 1.6, and does still if it is told to: a pickled magic number.
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
CONTENTS = "a checkpoint of this program has model, optimizer and epoch"


class CheckpointError(Exception):
    """A checkpoint that cannot be written, read, or used with this network. The message is for the user."""


def _plain(model: nn.Module) -> Any:
    """The model itself where it is wrapped by torch.compile, so that names do not depend on compiling."""
    return getattr(model, "_orig_mod", model)


def check_saving(path: Path, training: Training) -> None:
    """Saves on trial, before a training is spent on it, and leaves nothing behind.

    Raises:
        CheckpointError: A checkpoint cannot be written to `path`.
    """
    moments = 2 * sum(p.numel() * p.element_size() for p in training.model.parameters())  # a fresh Adam has none yet
    _write(path, training, 0, more_bytes=moments + MARGIN_BYTES)


def save_checkpoint(path: Path, training: Training, epoch: int) -> None:
    """Writes weights, optimizer state and the number of epochs done; the file is replaced whole or not at all.

    A symbolic link stays, and the file that it leads to is written. A file that is replaced passes on its mode.

    Raises:
        CheckpointError: The file cannot be written.
    """
    _write(path, training, epoch)


def _write(path: Path, training: Training, epoch: int, more_bytes: int | None = None) -> None:
    """Writes the checkpoint, or, on trial, so much more than it holds as yet, and removes it again."""
    state = {"model": _plain(training.model).state_dict(), "optimizer": training.optimizer.state_dict(), "epoch": epoch}
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".checkpoint-{secrets.token_hex(8)}"
    try:
        replaced = _regular_file(path, "written")
        for folder in (path.parent, target.parent):
            if not folder.is_dir():
                raise CheckpointError(f"checkpoint {path} cannot be written: there is no folder {folder}")
        content = io.BytesIO()
        torch.save(state, content)
        with temporary.open("xb") as file:  # made anew, so that its mode is the umask's
            if replaced:
                temporary.chmod(stat.S_IMODE(replaced.st_mode))
            file.write(content.getbuffer())
            file.write(bytes(more_bytes or 0))
            file.flush()
            os.fsync(file.fileno())  # some file systems say only here that they are full
        if more_bytes is None:
            temporary.replace(target)
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _regular_file(path: Path, done: str) -> os.stat_result | None:
    """The file that is there, if one is; a folder, a pipe and a device such as /dev/null are refused."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise CheckpointError(f"checkpoint {path} cannot be {done}: it is {kind}")
    return status


def load_checkpoint(path: Path, training: Training) -> int:
    """Fills `training` from the file and returns the number of epochs done. Only weights are unpickled, never code.

    Raises:
        CheckpointError: The file is missing, not a checkpoint, or of another network; `training` is as it was.
    """
    state = _read(path)
    if reason := _misfit(state, training):
        raise CheckpointError(f"{path} {reason}")
    training.optimizer.load_state_dict(state["optimizer"])
    _plain(training.model).load_state_dict(state["model"])
    return int(state["epoch"])


def _read(path: Path) -> Any:
    try:
        status = _regular_file(path, "read")
        if status is None:
            raise CheckpointError(f"there is no checkpoint {path}")
        if status.st_size == 0:
            raise CheckpointError(f"checkpoint {path} is empty")
        with path.open("rb") as file:
            if file.read(len(OLD_FORMAT)) == OLD_FORMAT:
                raise CheckpointError(f"{path} is in torch.save's old format, which has no checksums: save it anew")
            if damage := _damage(file):
                raise CheckpointError(f"{path} is damaged or no file of torch.save: {damage}")
            file.seek(0)
            with warnings.catch_warnings(action="ignore"):
                return torch.load(file, map_location="cpu", weights_only=True)
    except (CheckpointError, MemoryError):
        raise
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what is pickled there can raise anything
        raise CheckpointError(f"{path} holds something else than weights and numbers: {CONTENTS}") from error


def _damage(file: Any) -> str | None:
    """What is wrong with the archive that torch.save makes; torch.load does not look at its checksums."""
    try:
        with zipfile.ZipFile(file) as archive:
            member = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # zipfile raises many kinds on a damaged header
        return (str(error) or type(error).__name__).splitlines()[0]
    return member and f"the checksum of {member} is wrong"


def _misfit(state: Any, training: Training) -> str | None:
    """Why `training` cannot go on from `state`."""
    if not isinstance(state, dict):
        return f"is a {type(state).__name__}: {CONTENTS}"
    if state and all(isinstance(value, Tensor) for value in state.values()):
        return f"is a plain state_dict (weights alone): {CONTENTS}"
    lacking = [key for key in ("model", "optimizer", "epoch") if key not in state]
    if lacking:
        return f"lacks {' and '.join(lacking)}: {CONTENTS}"
    if type(state["epoch"]) is not int or state["epoch"] < 0:
        return f"has an epoch that is no whole number: {' '.join(repr(state['epoch']).split()):.40}"
    return _weights_misfit(state["model"], _plain(training.model).state_dict()) or _moments_misfit(
        state["optimizer"], training.optimizer
    )


def _weights_misfit(weights: Any, own: dict[str, Tensor]) -> str | None:
    if not isinstance(weights, dict):
        return f"has a {type(weights).__name__} in place of the model's weights"
    for name, tensor in own.items():
        other = weights.get(name)
        if other is None:
            return f"is of another network: it has no {name}"
        if not isinstance(other, Tensor) or not other.is_floating_point() or other.layout is not torch.strided:
            return f"is of another network: its {name} is no array of floating-point numbers"
        if other.shape != tensor.shape:
            return f"is of another network: its {name} is {list(other.shape)}, here {list(tensor.shape)}"
    extra = next((name for name in weights if name not in own), None)
    return extra and f"is of another network: it has {extra}, here there is none"


def _moments_misfit(saved: Any, optimizer: torch.optim.Optimizer) -> str | None:
    """Adam's moments must fit the parameters; load_state_dict itself compares only how many there are."""
    own = optimizer.state_dict()["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    try:
        fits = [group["params"] for group in saved["param_groups"]] == [group["params"] for group in own]
        fits &= all(map(_options_fit, saved["param_groups"], own))
        for index, moments in saved["state"].items():
            shapes = {moments[name].shape for name in ("exp_avg", "exp_avg_sq")}
            fits &= shapes == {parameters[index].shape} and float(moments["step"]) >= 0
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        fits = False
    return None if fits else "has the optimizer state of another network, or of another optimizer than Adam"


def _options_fit(saved: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether numbers are numbers and all else is as here; only how the steps are computed may differ.

    Options of newer and older versions of torch than this one are theirs.
    """
    if not saved.keys() >= {"lr", "betas", "eps", "weight_decay"}:
        return False
    for name, value in own.items():
        other = saved.get(name, value)
        if isinstance(value, float):
            fits = type(other) in (int, float) and 0 <= other < math.inf
        elif isinstance(value, tuple):
            fits = len(other) == len(value) and all(type(one) in (int, float) and 0 <= one < 1 for one in other)
        elif name in ("foreach", "fused"):
            fits = other is None or isinstance(other, bool)
        else:
            fits = other == value
        if not fits:
            return False
    return True
