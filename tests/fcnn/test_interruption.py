"""Signals while the program runs: what it says, what the checkpoint has, and how it ends."""

import builtins
import contextlib
import json
import os
import signal

import pytest
import torch

from fcnn import interruption
from fcnn.cli import _on_step, main
from tests.commands import Command
from tests.conftest import write_dataset


@pytest.fixture(autouse=True)
def no_signal_has_come(monkeypatch):
    for name in ("came", "waiting"):
        monkeypatch.setattr(interruption._State, name, False)


def test_an_interrupt_is_one_line_and_exit_code_3(mnist_root, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fcnn.train.train_epoch", interrupted)
    assert main(["--data", str(mnist_root), "--device", "cpu"]) == 3
    assert capsys.readouterr().err == "fcnn: interrupted\n"


SMALL = """
import json, runpy, sys
from torchvision import datasets
datasets.MNIST.resources = json.loads(sys.argv.pop(1))
runpy.run_module("fcnn", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGVTALRM"])
def test_signals_leave_the_epochs_that_were_done(tmp_path, name):
    checksums = json.dumps(list(write_dataset(tmp_path).items()))
    words = ["--data", tmp_path, "--device", "cpu", "--save", tmp_path / "saved" / "c.pt", "--epochs", 100_000]
    (tmp_path / "saved").mkdir()
    command = Command(SMALL, checksums, *words, folder=tmp_path)
    command.wait_until_printed("epoch 2:")
    for number in (getattr(signal, name), signal.SIGINT, signal.SIGTERM):
        command.send(number)
    ended = command.end()
    assert (ended.code, ended.err.count("\n")) == (3, 1), ended.err
    assert ended.err.startswith("fcnn: interrupted")
    assert torch.load(tmp_path / "saved" / "c.pt")["epoch"] >= 2
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["c.pt"]
    assert command.temporary_files() == []


def test_an_interrupt_says_what_the_checkpoint_has(mnist_root, tmp_path, monkeypatch, capsys):
    epochs = iter([lambda: 0.5, lambda: 0.4, lambda: os.kill(os.getpid(), signal.SIGINT)])
    monkeypatch.setattr("fcnn.train.train_epoch", lambda *_, **__: next(epochs)())
    words = ["--data", str(mnist_root), "--device", "cpu", "--save", str(tmp_path / "c.pt"), "--epochs", "3"]
    assert main(words) == 3
    assert capsys.readouterr().err == f"fcnn: interrupted; {tmp_path / 'c.pt'} has the 2 before\n"
    assert torch.load(tmp_path / "c.pt")["epoch"] == 2


def test_a_signal_while_a_checkpoint_is_written_waits():
    reached = []

    def save() -> None:
        with interruption.deferred():
            interruption._handle(signal.SIGINT, None)
            reached.append("saved")

    with pytest.raises(KeyboardInterrupt):
        save()
    assert reached == ["saved"]


def test_an_interrupt_that_a_library_has_swallowed_is_raised_at_the_next_step():
    done = _on_step(10)
    done(1)
    with contextlib.suppress(KeyboardInterrupt):
        interruption._handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        done(2)
    interruption._handle(signal.SIGINT, None)  # a second one lets it end


def test_an_interrupt_while_torch_is_imported_is_one_line_too(monkeypatch, capsys):
    original = builtins.__import__

    def interrupted(name, *args, **kwargs):
        if name == "fcnn.checkpoint":
            raise KeyboardInterrupt
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert main([]) == 3
    assert capsys.readouterr().err == "fcnn: interrupted\n"
