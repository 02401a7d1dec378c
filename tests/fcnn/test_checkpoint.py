import pytest
import torch
from torch import nn

from fcnn.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from fcnn.hyperparameters import Hyperparameters
from fcnn.train import make_training, train_epoch, train_step
from tests.fcnn.test_train import CPU, batch


def test_training_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path):
    straight = make_training(CPU)
    train_epoch(straight, [batch(seed=s) for s in range(4)])
    first = make_training(CPU)
    train_epoch(first, [batch(seed=s) for s in range(2)])
    save_checkpoint(tmp_path / "c.pt", first, 3)
    second = make_training(CPU, seed=9)
    assert load_checkpoint(tmp_path / "c.pt", second) == 3
    train_epoch(second, [batch(seed=s) for s in range(2, 4)])
    assert all(map(torch.equal, straight.model.parameters(), second.model.parameters()))


def test_compiling_does_not_change_the_names_in_the_file(tmp_path):
    compiled = make_training(CPU, wrap=lambda model: torch.compile(model, backend="eager"))
    train_step(compiled, *batch())
    save_checkpoint(tmp_path / "c.pt", compiled, 1)
    assert set(torch.load(tmp_path / "c.pt")["model"]) == set(make_training(CPU).model.state_dict())


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize("content", ["truncated", "text", "other network", "code", "missing"])
def test_what_is_no_checkpoint_of_this_network_is_one_clear_line(tmp_path, content, capsys):
    path, training = tmp_path / "c.pt", make_training(CPU)
    if content == "truncated":
        save_checkpoint(path, training, 1)
        path.write_bytes(path.read_bytes()[:1000])
    elif content == "text":
        path.write_text("weights")
    elif content == "other network":
        save_checkpoint(path, make_training(CPU, hyperparameters=Hyperparameters(hidden_size=7)), 1)
    elif content == "code":
        torch.save({"model": Evil()}, path)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, training)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert "code was run" not in capsys.readouterr().out


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(path, make_training(CPU), 1)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(path, make_training(CPU), 2)
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
    assert path.read_bytes() == before
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path / "nowhere" / "c.pt", make_training(CPU), 1)


def test_a_wrapped_model_without_orig_mod_is_saved_as_it_is(tmp_path):
    training = make_training(CPU, wrap=nn.Sequential)
    save_checkpoint(tmp_path / "c.pt", training, 1)
    assert load_checkpoint(tmp_path / "c.pt", make_training(CPU, wrap=nn.Sequential)) == 1
