"""What is no checkpoint, or one of something else: each is one line that says so, and changes nothing."""

import errno
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from fcnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fcnn.hyperparameters import Hyperparameters
from fcnn.train import make_training, train_step
from tests.fcnn.test_checkpoint import trained
from tests.fcnn.test_train import CPU, batch


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


def saved(path: Path, **changes: object) -> None:
    """A checkpoint with parts of it replaced; None leaves the part out."""
    save_checkpoint(path, trained(), 1)
    state = {**torch.load(path), **changes}
    torch.save({key: value for key, value in state.items() if value is not None}, path)


def weights(**changes: object) -> dict[str, object]:
    """The model's weights with some of them replaced; None leaves them out. A dot is written as two underscores."""
    state = {**make_training(CPU).model.state_dict(), **{k.replace("__", "."): v for k, v in changes.items()}}
    return {name: value for name, value in state.items() if value is not None}


def optimizer_state(change) -> dict[str, object]:
    state = trained().optimizer.state_dict()
    change(state)
    return state


def flipped(path: Path) -> None:
    """One bit of the weights is another: torch.load reads it as if nothing were wrong."""
    saved(path)
    content = bytearray(path.read_bytes())
    at = len(content) // 4  # three quarters of the file are fc1.weight and its two moments
    content[at] ^= 1
    path.write_bytes(content)


def script(path: Path) -> None:
    """What tells an archive of TorchScript from one of torch.save, and makes torch.load warn."""
    torch.save({}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0].partition("/")[0] + "/constants.pkl", b"")


CONTENTS = ": a checkpoint of this program has model, optimizer and epoch"
REFUSED = {
    "missing": (lambda p: None, "there is no checkpoint {}"),
    "folder": (Path.mkdir, "checkpoint {} cannot be read: it is a folder"),
    "empty": (Path.touch, "checkpoint {} is empty"),
    "device": (lambda p: p.symlink_to(os.devnull), "checkpoint {} cannot be read: it is no regular file"),
    "text": (lambda p: p.write_text("weights"), "{} is damaged or no file of torch.save: File is not a zip file"),
    "pickle": (
        lambda p: p.write_bytes(pickle.dumps({"model": 1})),
        "{} is damaged or no file of torch.save: File is not a zip file",
    ),
    "truncated": (
        lambda p: saved(p) or p.write_bytes(p.read_bytes()[:1000]),
        "{} is damaged or no file of torch.save: File is not a zip file",
    ),
    "flipped": (flipped, "{} is damaged or no file of torch.save: the checksum of "),
    "old format": (
        lambda p: torch.save(weights(), p, _use_new_zipfile_serialization=False),
        "{} is in torch.save's old format, which has no checksums: save it anew",
    ),
    "code": (lambda p: torch.save({"model": Evil()}, p), "{} holds something else than weights and numbers" + CONTENTS),
    "module": (lambda p: torch.save(nn.Linear(2, 2), p), "{} holds something else than weights and numbers" + CONTENTS),
    "script": (script, "{} holds something else than weights and numbers" + CONTENTS),
    "list": (lambda p: torch.save([1, 2], p), "{} is a list" + CONTENTS),
    "tensor": (lambda p: torch.save(torch.zeros(2), p), "{} is a Tensor" + CONTENTS),
    "state_dict": (lambda p: torch.save(weights(), p), "{} is a plain state_dict (weights alone)" + CONTENTS),
    "nothing": (lambda p: torch.save({}, p), "{} lacks model and optimizer and epoch" + CONTENTS),
    "one key": (lambda p: saved(p, optimizer=None), "{} lacks optimizer" + CONTENTS),
    "epoch float": (lambda p: saved(p, epoch=1.5), "{} has an epoch that is no whole number: 1.5"),
    "epoch bool": (lambda p: saved(p, epoch=True), "{} has an epoch that is no whole number: True"),
    "epoch negative": (lambda p: saved(p, epoch=-1), "{} has an epoch that is no whole number: -1"),
    "epoch tensor": (lambda p: saved(p, epoch=torch.eye(9)), "{} has an epoch that is no whole number: tensor([[1."),
    "wider": (
        lambda p: save_checkpoint(p, make_training(CPU, hyperparameters=Hyperparameters(hidden_size=7)), 1),
        "{} is of another network: its fc1.weight is [7, 784], here [50, 784]",
    ),
    "deeper": (
        lambda p: saved(p, model=weights(fc3__bias=torch.zeros(9))),
        "{} is of another network: it has fc3.bias, here there is none",
    ),
    "without": (lambda p: saved(p, model=weights(fc2__bias=None)), "{} is of another network: it has no fc2.bias"),
    "no numbers": (
        lambda p: saved(p, model=weights(fc2__bias="b")),
        "{} is of another network: its fc2.bias is no array of floating-point numbers",
    ),
    "whole numbers": (
        lambda p: saved(p, model=weights(fc2__bias=torch.zeros(10, dtype=torch.int64))),
        "{} is of another network: its fc2.bias is no array of floating-point numbers",
    ),
    "no names": (lambda p: saved(p, model=[1]), "{} has a list in place of the model's weights"),
}
OTHER_OPTIMIZER = "{} has the optimizer state of another network, or of another optimizer than Adam"


def load_refused(path: Path) -> str:
    """The message of a load that must fail, and must leave the training as it was."""
    training = trained()
    before = [p.detach().clone() for p in training.model.parameters()]
    moments = training.optimizer.state_dict()["state"][0]["exp_avg"].clone()
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, training)
    assert all(map(torch.equal, before, training.model.parameters()))
    assert torch.equal(training.optimizer.state_dict()["state"][0]["exp_avg"], moments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("content", REFUSED)
def test_what_is_no_checkpoint_of_this_network_is_one_line_that_says_why(tmp_path, content, capfd, recwarn):
    path = tmp_path / "c.pt"
    make, message = REFUSED[content]
    make(path)
    recwarn.clear()
    assert load_refused(path).startswith(message.format(path))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.clear(),
        lambda state: state["param_groups"].append(state["param_groups"][0]),
        lambda state: state["param_groups"][0].pop("betas"),
        lambda state: state["state"][0].pop("exp_avg"),
        lambda state: state["state"][0].update(exp_avg=torch.zeros(3)),
        lambda state: state["state"][0].update(step=torch.zeros(3)),
        lambda state: state["state"].update({9: state["state"][0]}),
        lambda state: state["state"].update({0: 5}),
    ],
)
def test_an_optimizer_state_that_would_fail_at_the_first_step_is_refused_before_it(tmp_path, change):
    saved(tmp_path / "c.pt", optimizer=optimizer_state(change))
    assert load_refused(tmp_path / "c.pt") == OTHER_OPTIMIZER.format(tmp_path / "c.pt")


@pytest.mark.parametrize(
    "options",
    [
        {"lr": "fast"}, {"lr": float("nan")}, {"lr": True}, {"betas": None}, {"betas": (0.9, 1.5)}, {"eps": -1.0},
        {"amsgrad": True}, {"decoupled_weight_decay": True}, {"maximize": True}, {"capturable": True}, {"fused": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_options_that_would_fail_or_train_otherwise_are_refused(tmp_path, options):
    saved(tmp_path / "c.pt", optimizer=optimizer_state(lambda state: state["param_groups"][0].update(options)))
    assert load_refused(tmp_path / "c.pt") == OTHER_OPTIMIZER.format(tmp_path / "c.pt")


def test_how_the_steps_are_computed_may_differ(tmp_path):
    state = optimizer_state(lambda state: state["param_groups"][0].update(fused=True, lr=0.01, of_a_newer_torch=1))
    saved(tmp_path / "c.pt", optimizer=state)
    training = make_training(CPU)
    assert load_checkpoint(tmp_path / "c.pt", training) == 1
    train_step(training, *batch())


def test_another_optimizers_state_is_refused(tmp_path):
    training = trained()
    training.optimizer = torch.optim.SGD(training.model.parameters(), momentum=0.9)
    train_step(training, *batch())
    save_checkpoint(tmp_path / "c.pt", training, 1)
    assert load_refused(tmp_path / "c.pt") == OTHER_OPTIMIZER.format(tmp_path / "c.pt")


def test_a_file_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "c.pt", trained(), 1)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "c.pt")

    monkeypatch.setattr(Path, "open", denied)
    assert load_refused(tmp_path / "c.pt") == f"checkpoint {tmp_path / 'c.pt'} cannot be read: Permission denied"


def test_exhausted_memory_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "c.pt", trained(), 1)

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", exhausted)
    with pytest.raises(MemoryError):
        load_checkpoint(tmp_path / "c.pt", trained())


def test_weights_that_are_not_a_number_are_the_users_own_affair(tmp_path):
    saved(tmp_path / "c.pt", model=weights(fc2__bias=torch.full((10,), torch.nan)))
    training = make_training(CPU)
    assert load_checkpoint(tmp_path / "c.pt", training) == 1
    assert training.model.fc2.bias.isnan().all()
