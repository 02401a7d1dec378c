"""The data root: which folder it is, and that another one than the user means is refused and never replaced."""

import errno
import os
import sys
from pathlib import Path

import pytest

from fcnn import source
from fcnn.data import DataError, load_images
from tests.conftest import FILES, write_dataset
from tests.fcnn.test_source import refused, unpacked


def test_the_root_is_the_argument_then_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FCNN_DATA", str(tmp_path / "variable"))
    assert source.data_root(tmp_path / "argument") == tmp_path / "argument"
    assert source.data_root() == tmp_path / "variable"
    monkeypatch.setenv("FCNN_DATA", "~/variable")
    assert source.data_root() == Path.home() / "variable"
    monkeypatch.setenv("FCNN_DATA", "")  # empty is unset, not the current folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert source.data_root() == tmp_path / "cache/fcnn-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")  # the standard ignores what is not absolute
    assert source.data_root() == Path.home() / ".cache/fcnn-bench"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert source.data_root() == Path.home() / "Library/Caches/fcnn-bench"


def test_a_tilde_is_the_home_folder_and_a_name_with_one_is_itself():
    assert source.data_root(Path("~/x")) == Path.home() / "x"
    assert source.data_root(Path("~nobody-of-this-name/x")) == Path("~nobody-of-this-name/x")


def test_no_home_folder_is_one_line_that_names_the_remedy(monkeypatch):
    """As in a container that runs under a user number of its own."""

    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("FCNN_DATA", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    for root in (None, Path("~/x")):
        with pytest.raises(DataError, match="no home folder to keep images in: name a data root by --data or FCNN_D"):
            source.data_root(root)


@pytest.fixture
def no_download(monkeypatch):
    """No test here may come so far: not even the embedded images stand in for a data root that is misnamed."""

    def download(*_: object) -> None:
        pytest.fail("it tried to download")

    monkeypatch.setattr(source, "downloaded", download)


@pytest.mark.usefixtures("no_download")
@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST"])
@pytest.mark.parametrize("kept", ["packed", "unpacked"])
def test_a_root_that_is_too_deep_is_refused_with_the_right_one(mnist_root, kept, dataset, monkeypatch):
    """Whatever dataset was wanted: nobody means to have one inside another."""
    if kept == "unpacked":
        unpacked(mnist_root)
    message = f"data root {mnist_root / 'MNIST/raw'} holds MNIST itself: name {mnist_root}"
    with pytest.raises(DataError) as error:
        load_images(dataset, mnist_root / "MNIST/raw")
    assert str(error.value) == message
    monkeypatch.setenv("FCNN_DATA", str(mnist_root / "MNIST"))
    with pytest.raises(DataError) as error:
        load_images(dataset)
    assert str(error.value) == f"data root {mnist_root / 'MNIST'} holds MNIST in raw: name {mnist_root}"


@pytest.mark.usefixtures("no_download")
def test_a_root_that_is_too_deep_is_recognised_from_inside_and_through_a_link(mnist_root, tmp_path, monkeypatch):
    monkeypatch.chdir(mnist_root / "MNIST/raw")
    assert refused(Path()) == f"data root . holds MNIST itself: name {mnist_root}"
    (tmp_path / "link").symlink_to(mnist_root / "MNIST")
    assert refused(tmp_path / "link") == f"data root {tmp_path / 'link'} holds MNIST in raw: name {mnist_root}"
    (tmp_path / "linked").mkdir()
    (mnist_root / "MNIST").rename(tmp_path / "images")
    (tmp_path / "linked/MNIST").symlink_to(tmp_path / "images")
    root = tmp_path / "linked/MNIST"
    assert refused(root) == f"data root {root} holds MNIST in raw: name {tmp_path / 'linked'}"


@pytest.mark.usefixtures("no_download")
def test_a_root_that_is_too_high_is_refused_with_the_right_one(mnist_root):
    above = mnist_root.parent
    (above / "a file").touch()
    remedy = f"name {mnist_root}, or make the folder {above / 'MNIST'} for a download"
    assert refused(above) == f"data root {above} holds MNIST in data/MNIST/raw: {remedy}"


@pytest.mark.parametrize("child", [".download-1234", "data"])
def test_what_a_killed_download_left_and_what_the_user_made_room_for_is_not_too_high(
    mnist_root, tmp_path, child, monkeypatch
):
    mnist_root.rename(tmp_path / child)
    if child == "data":
        (tmp_path / "MNIST").mkdir()

    def download(*_: object) -> None:
        raise DataError("it tried to download")

    monkeypatch.setattr(source, "downloaded", download)
    assert refused(tmp_path) == "it tried to download"


@pytest.mark.usefixtures("no_download")
@pytest.mark.parametrize("place", ["MNIST", "."])
def test_files_without_torchvisions_folders_are_said_to_belong_there(mnist_root, tmp_path, place):
    root = tmp_path / "flat"
    (root / place).parent.mkdir(exist_ok=True)
    (mnist_root / "MNIST/raw").rename(root / place)
    assert refused(root) == f"{root / place} holds the files of MNIST: move them to {root / 'MNIST/raw'}"


@pytest.mark.usefixtures("no_download")
def test_a_root_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for root in (tmp_path / "file", tmp_path / "link"):
        assert refused(root) == f"data root {root} is no folder: name the one that holds MNIST/raw"


@pytest.mark.usefixtures("no_download")
def test_links_that_lead_nowhere_are_said_to_and_nothing_is_downloaded_in_their_place(mnist_root):
    """git-annex keeps such links where the contents are somewhere else."""
    for path in (mnist_root / "MNIST/raw").iterdir():
        path.unlink()
        path.symlink_to("nowhere")
    assert refused(mnist_root) == f"{mnist_root / 'MNIST/raw' / FILES[0]} cannot be read: No such file or directory"


@pytest.mark.parametrize("name", ["caf\u00e9 [red] %s {x}", "two\nlines", os.fsdecode(b"\xff\xfe"), "-", "~", "#?*"])
def test_a_root_may_be_called_anything(mnist_root, tmp_path, name):
    root = tmp_path / name
    mnist_root.rename(root)
    assert load_images("MNIST", root).name == "MNIST"


def test_an_unreadable_root_is_one_line(monkeypatch, tmp_path):
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(DataError, match=r"raw cannot be read: Permission denied"):
        load_images("MNIST", tmp_path)


def test_corrupt_files_never_fall_back_whatever_their_folder_is_called(tmp_path, publish):
    """The choice to fall back must not be read off a message, in which the user's path stands too."""
    root = tmp_path / "could not be downloaded"
    publish(dict.fromkeys(write_dataset(root), "0" * 32))
    assert "is corrupt" in refused(root)
