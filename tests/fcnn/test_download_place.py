"""Where a download goes, and what happens if it cannot go there."""

import builtins
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from fcnn import download
from fcnn.data import DataError, load_images
from fcnn.download import DownloadError
from tests.fcnn.test_download import lines


@pytest.mark.usefixtures("umask")
def test_a_download_has_the_umasks_modes(mirror):
    load_images("MNIST", mirror, lambda line: None)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in mirror.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (mirror, mirror / "MNIST", mirror / "MNIST/raw")}
    assert (modes, folders) == ({0o640}, {0o750})


@pytest.mark.parametrize("always_absolute", [False, True])
def test_a_root_that_is_named_from_here_keeps_the_download(mirror, monkeypatch, always_absolute):
    """From Python 3.12 on, the temporary folder's name is absolute although the root's is not."""
    if always_absolute:
        original = tempfile.mkdtemp
        monkeypatch.setattr(tempfile, "mkdtemp", lambda **options: str(Path(original(**options)).absolute()))
    monkeypatch.chdir(mirror.parent)
    load_images("MNIST", Path(mirror.name), lambda line: None)
    assert [p.name for p in mirror.iterdir()] == ["MNIST"]


@pytest.fixture
def unwritable(mirror):
    """A data root that nobody can make, root included."""
    mirror.write_text("a file where a folder should be")
    return mirror / "data"


def test_an_unwritable_cache_is_said_and_the_download_used_all_the_same(unwritable):
    said, say = lines()
    images = load_images("MNIST", unwritable, say)
    assert images.name == "MNIST"
    assert said == [f"{unwritable} cannot be written (Not a directory): MNIST is downloaded for this run alone"]
    assert unwritable.parent.is_file()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/temporary/fcnn-1"),
            "No space left on device in /temporary",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "No usable .* \\['/tmp'\\]",
        ),
    ],
)
def test_no_place_to_download_to_is_said_and_no_other_images_stand_in(unwritable, monkeypatch, error, reason):
    original = tempfile.mkdtemp

    def full(prefix: str, **options: object) -> str:
        if prefix == "fcnn-":
            raise error
        return original(prefix=prefix, **options)

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    expected = rf"^{unwritable} cannot be written \(Not a directory\), and no temporary folder can be made: {reason}$"
    with pytest.raises(DataError, match=expected) as refusal:
        load_images("MNIST", unwritable, lambda line: None)
    assert not isinstance(refusal.value, DownloadError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_and_leaves_nothing(mirror, monkeypatch, number):
    """The network is there and the user can help it: other images would hide that."""
    real_open = builtins.open

    def full(file, mode="r", *args, **kwargs):
        if "w" in mode and ".download-" in str(file):
            raise OSError(number, os.strerror(number))
        return real_open(file, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(DataError) as error:
        load_images("MNIST", mirror, lambda line: None)
    assert str(error.value) == f"no space left in {mirror} for MNIST: free 150 MB or name another folder"
    assert list(mirror.iterdir()) == []


def test_another_process_that_was_faster_does_not_change_the_images(mirror, monkeypatch):
    first = load_images("MNIST", mirror.parent / "first", lambda line: None)
    original = download._download

    def overtaken(kind: type, folder: Path) -> None:
        original(kind, folder)
        shutil.copytree(mirror.parent / "first/MNIST", mirror / "MNIST")

    monkeypatch.setattr(download, "_download", overtaken)
    said, say = lines()
    images = load_images("MNIST", mirror, say)
    assert said == [f"downloading MNIST to {mirror}"]
    assert (images.name, images.sha256) == ("MNIST", first.sha256)
    assert [p.name for p in mirror.iterdir()] == ["MNIST"]


def test_a_download_that_cannot_be_moved_to_the_root_serves_this_run_and_is_said(mirror):
    """The network gave the right images: no others stand in for them."""
    (mirror / "MNIST/raw").mkdir(parents=True)
    (mirror / "MNIST/raw/.DS_Store").touch()
    for _ in range(2):
        said, say = lines()
        assert load_images("MNIST", mirror, say).name == "MNIST"
        reason = f"{mirror / 'MNIST/raw'} cannot be written (Directory not empty)"
        assert said == [f"downloading MNIST to {mirror}", f"{reason}: MNIST is downloaded for this run alone"]
    assert sorted(p.name for p in mirror.rglob("*")) == [".DS_Store", "MNIST", "raw"]


def test_an_empty_folder_is_no_obstacle_to_a_download(mirror):
    (mirror / "MNIST/raw").mkdir(parents=True)
    said, say = lines()
    load_images("MNIST", mirror, say)
    assert said == [f"downloading MNIST to {mirror}"]
    assert load_images("MNIST", mirror, pytest.fail).name == "MNIST"
