"""Files that are written whole, read strictly, and whose faults are one line."""

import errno
import json
import os
import stat
import subprocess

import pytest

from bench.errors import BenchError
from bench.record import files


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_has_the_umasks_mode_or_that_of_the_one_it_replaces(tmp_path, umask):
    files.write(tmp_path / "new", "text")
    assert mode(tmp_path / "new") == 0o640
    (tmp_path / "new").chmod(0o600)
    files.write(tmp_path / "new", "other")
    assert mode(tmp_path / "new") == 0o600


def test_a_link_stays_one(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    files.write(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("before")
    with pytest.raises(BenchError, match=r"file/below cannot be written: "):
        files.write(tmp_path / "file" / "below", "text")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fdopen", full)
    with pytest.raises(BenchError, match="No space left on device"):
        files.write(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


def test_what_no_reader_takes_is_replaced(tmp_path):
    files.write_json(tmp_path / "x.json", {"half \ud800": "\x1b[1m bell \x07"})
    assert json.loads((tmp_path / "x.json").read_bytes().decode("utf-8")) == {"half �": "\x1b[1m bell \x07"}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", float("nan"))


@pytest.mark.parametrize("number", ["1e308", "-1e31", "1e-31", "1" + 400 * "0"])
def test_numbers_that_nobody_has_measured_are_refused_with_their_place(tmp_path, number):
    (tmp_path / "x.json").write_text(f'{{"a": [0, -1.5, {number}]}}')
    with pytest.raises(BenchError, match=r"x\.json: at a/2: nobody measures less than 1e-30 or more than 1e\+30$"):
        files.read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": [{"b": [1.0, NaN]}]}', "a/0/b/1"),
        ('{"a": -Infinity}', "a"),
        ('{"a": {"b": 1e999}}', "a/b"),
        ("Infinity", "the top level"),
    ],
)
def test_numbers_that_are_none_are_refused_with_their_place(tmp_path, text, place):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BenchError, match=rf"x\.json: at {place}: NaN and infinities are no numbers"):
        files.read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b"9" * 5000, "is no JSON"),
    ],
    ids=["cut off", "no text", "too deep", "too long a number"],
)
def test_what_is_no_json_is_one_line(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(BenchError, match=message):
        files.read_json(tmp_path / "x.json")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(BenchError, match="there is no such file"):
        files.read_json(tmp_path / "none")
    with pytest.raises(BenchError, match="cannot be read: Is a directory"):
        files.read_json(tmp_path)


def test_a_folder_that_cannot_be_written_is_found_out(tmp_path):
    files.check_writable(tmp_path / "new" / "below", "--output")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="choose another --output") as raised:
        files.check_writable(tmp_path / "file" / "below", "--output")
    assert raised.value.exit_code == 2


def test_a_results_folder_that_is_new_in_a_repository_is_ignored_by_git(tmp_path):
    with files.ignored_by_git(tmp_path / "outside" / "of" / "it"):
        files.write(tmp_path / "outside" / "of" / "it" / "x.json", "{}")
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", repository], check=True)
    with files.ignored_by_git(repository / "nothing"):
        files.write(repository / "results" / "mine", "")  # the user's own
    assert not list(tmp_path.rglob(".gitignore"))
    with files.ignored_by_git(repository / "new" / "results"):
        files.write(repository / "new" / "results" / "check.json", "{}")
    with files.ignored_by_git(repository / "results"):
        files.write(repository / "results" / "check.json", "{}")
    assert list(tmp_path.rglob(".gitignore")) == [repository / "new" / ".gitignore"]
    status = ["git", "-C", repository, "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.check_output(status, text=True).splitlines() == ["?? results/check.json", "?? results/mine"]


def test_a_folder_that_is_new_among_results_that_are_kept_is_ignored_by_git(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    files.write(tmp_path / "results" / "old" / "mine", "")
    for folder in ("results", "results/check"):
        with files.ignored_by_git(tmp_path / folder):
            files.write(tmp_path / folder / "machine" / "record.json", "{}")
            files.write(tmp_path / "results" / "old" / "mine", "changed")
    status = ["git", "-C", tmp_path, "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.check_output(status, text=True).splitlines() == ["?? results/old/mine"]


def test_without_a_temporary_folder_there_is_one_line(monkeypatch):
    def none(**_):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x', '/tmp']")

    monkeypatch.setattr(files.tempfile, "mkdtemp", none)
    with (
        pytest.raises(BenchError, match=r"no temporary folder can be made: .*; free some space or name another"),
        files.scratch(),
    ):
        pass


@pytest.mark.parametrize("free", [0, 1 << 30])
def test_a_full_temporary_folder_is_named_and_another_full_disk_is_not_taken_for_it(monkeypatch, free):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free}))

    def fill() -> None:
        with files.scratch() as folder:
            (folder / "inside").touch()
            kept.append(folder)
            raise OSError(errno.ENOSPC, "No space left on device")

    kept = []
    with pytest.raises((BenchError, OSError)) as raised:
        fill()
    assert isinstance(raised.value, BenchError) is (free == 0)
    assert not kept[0].exists()
