import errno
import os
import stat
from pathlib import Path

import pytest
import torch
from torch import nn

from fcnn.checkpoint import CheckpointError, check_saving, load_checkpoint, save_checkpoint
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


@pytest.mark.slow
def test_compiling_does_not_change_the_names_in_the_file(tmp_path):
    compiled = make_training(CPU, wrap=lambda model: torch.compile(model, backend="eager"))
    train_step(compiled, *batch())
    save_checkpoint(tmp_path / "c.pt", compiled, 1)
    assert set(torch.load(tmp_path / "c.pt")["model"]) == set(make_training(CPU).model.state_dict())


def trained():
    training = make_training(CPU)
    train_step(training, *batch())
    return training


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_new_file_has_the_umasks_mode_and_a_replaced_one_keeps_its_own(tmp_path):
    path = tmp_path / "c.pt"
    save_checkpoint(path, trained(), 1)
    assert mode(path) == 0o640
    path.chmod(0o604)
    check_saving(path, trained())
    save_checkpoint(path, trained(), 2)
    assert mode(path) == 0o604
    assert load_checkpoint(path, trained()) == 2


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_stays_and_the_file_it_leads_to_is_written(tmp_path, dangling):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    target, link = tmp_path / "elsewhere/real.pt", tmp_path / "here/c.pt"
    link.symlink_to("../elsewhere/real.pt")
    if not dangling:
        target.write_text("old")
    check_saving(link, trained())
    assert target.exists() is not dangling
    save_checkpoint(link, trained(), 4)
    assert link.is_symlink()
    assert load_checkpoint(target, trained()) == 4
    assert sorted(p.name for p in tmp_path.rglob("*") if not p.is_dir()) == ["c.pt", "real.pt"]


def test_a_trial_leaves_nothing_new_and_the_old_file_as_it_was(tmp_path):
    check_saving(tmp_path / "new.pt", trained())
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(tmp_path / "c.pt", trained(), 1)
    before = (tmp_path / "c.pt").stat()
    check_saving(tmp_path / "c.pt", trained())
    after = (tmp_path / "c.pt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def save_refused(path: Path) -> str:
    """The message of a save that must fail, and of its trial, which must say the same."""
    messages, training = [], make_training(CPU)
    for attempt in (lambda: check_saving(path, training), lambda: save_checkpoint(path, training, 1)):
        with pytest.raises(CheckpointError) as error:
            attempt()
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    return messages[0].removeprefix(f"checkpoint {path} cannot be written: ")


def test_a_trial_finds_what_a_save_would_find(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "astray").symlink_to("nowhere/c.pt")
    os.mkfifo(tmp_path / "pipe")  # stands for /dev/null as well, which root could replace
    assert save_refused(tmp_path / "folder") == "it is a folder"
    assert save_refused(tmp_path / "nowhere/c.pt") == f"there is no folder {tmp_path}/nowhere"
    assert save_refused(tmp_path / "file/c.pt") == "Not a directory"
    assert save_refused(tmp_path / "loop") == "Too many levels of symbolic links"
    assert save_refused(tmp_path / "astray") == f"there is no folder {tmp_path}/nowhere"
    assert save_refused(tmp_path / ("c" * 300)) == "File name too long"
    assert save_refused(tmp_path / "pipe") == "it is no regular file"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["astray", "file", "folder", "loop", "pipe"]


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    save_checkpoint(tmp_path / ("c" * 255), trained(), 1)
    assert load_checkpoint(tmp_path / ("c" * 255), trained()) == 1


@pytest.mark.parametrize(("attribute", "number"), [("open", errno.EROFS), ("chmod", errno.EPERM)])
def test_a_folder_that_takes_no_files_is_found_by_the_trial(tmp_path, monkeypatch, attribute, number):
    """Root may write everywhere but to a read-only file system, so os.access would not tell."""
    (tmp_path / "c.pt").write_text("old")
    original = getattr(Path, attribute)

    def refuse(path: Path, *args: object, **options: object) -> object:
        if path.name.startswith(".checkpoint-"):
            raise OSError(number, os.strerror(number), str(path))
        return original(path, *args, **options)

    monkeypatch.setattr(Path, attribute, refuse)
    assert save_refused(tmp_path / "c.pt") == os.strerror(number)
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
    assert (tmp_path / "c.pt").read_text() == "old"


def test_a_disk_that_is_full_is_found_by_the_trial(tmp_path, monkeypatch):
    """As some network file systems do, it says so only when what was written must reach it."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert save_refused(tmp_path / "c.pt") == "No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_the_trial_writes_no_less_than_the_checkpoint_after_the_training_has(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: written.append(os.fstat(descriptor).st_size))
    check_saving(tmp_path / "c.pt", make_training(CPU))
    save_checkpoint(tmp_path / "c.pt", trained(), 1)
    trial, real = written
    assert real <= trial < 1.5 * real


def test_an_interrupted_save_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "c.pt", trained(), 1)
    assert list(tmp_path.iterdir()) == []


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
