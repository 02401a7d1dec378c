"""git as it is asked here: whose variables, hooks and files count, and what becomes of its errors."""

import os
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.measure import git
from tests.measure.repositories import commit, make_repository, run


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "repository")


def test_variables_of_a_commit_that_is_under_way_do_not_reach_it(repository, tmp_path, monkeypatch):
    other = make_repository(tmp_path / "other")
    second = commit(other, "second")
    head = run(repository, "rev-parse", "HEAD")
    for name, value in {
        "GIT_DIR": other / ".git",
        "GIT_WORK_TREE": other,
        "GIT_INDEX_FILE": tmp_path / "index",
    }.items():
        monkeypatch.setenv(name, str(value))
    assert git.ask(repository, "rev-parse", "HEAD") == head != second
    assert git.top(repository / "fcnn") == repository
    assert git.files_below(repository, "fcnn") == ["fcnn/model.py", "fcnn/train.py"]
    assert not (tmp_path / "index").exists()


def test_neither_hooks_nor_a_watcher_of_files_are_run(repository, tmp_path):
    hook = repository / ".git" / "watch"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    hook.chmod(0o755)
    run(repository, "config", "core.fsmonitor", str(hook))
    git.ask(repository, "status", "--porcelain")
    assert not (tmp_path / "was-run").exists()


def test_a_commit_only_where_the_file_is_tracked(repository):
    inside = repository / ".venv" / "site-packages" / "bench"
    inside.mkdir(parents=True)
    (inside / "__init__.py").touch()
    assert git.commit_of(inside / "__init__.py") is None  # the repository merely surrounds it
    tracked = git.commit_of(repository / "fcnn" / "train.py")
    assert run(repository, "rev-parse", "HEAD").startswith(tracked.id)
    assert len(tracked.id) == 12
    assert git.commit_of(repository.parent / "nothing.py") is None


def test_a_changed_or_a_new_file_makes_it_dirty(repository):
    file = repository / "fcnn" / "train.py"
    assert not git.commit_of(file).dirty
    run(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "fcnn" / "new.py").touch()
    assert git.commit_of(file).dirty


def test_a_repository_of_another_owner_is_named_with_the_remedy(repository, monkeypatch):
    said = "fatal: detected dubious ownership in repository at '/x'\nTo add an exception, call:\n\n\tgit config ...\n"
    assert git._reason(said, repository) == (
        f"git does not trust {repository}, since it belongs to another user: "
        f"git config --global --add safe.directory {repository}"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives the repository to another user")
def test_it_is_asked_there_as_everywhere(repository):
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(BenchError, match="git does not trust"):
        git.top(repository)
    assert git.commit_of(repository / "fcnn" / "train.py") is None


def test_the_error_is_gits_own_and_not_its_advice(repository, tmp_path):
    with pytest.raises(BenchError, match=r"^git: not a git repository"):
        git.top(tmp_path)
    assert git._reason("error: pathspec 'x'\nDid you forget to 'git add'?", repository) == "git: pathspec 'x'"


def test_without_git_or_with_one_that_hangs(repository, monkeypatch, tmp_path):
    hanging = tmp_path / "git"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(git, "LIMIT_SECONDS", 0.05)
    monkeypatch.setattr(git.shutil, "which", lambda name: str(hanging))
    with pytest.raises(BenchError, match="git status did not answer"):
        git.ask(repository, "status")
    monkeypatch.setattr(git.shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="git is not installed"):
        git.ask(repository, "status")
    assert git.commit_of(repository / "fcnn" / "train.py") is None


def test_a_folder_whose_name_ends_in_a_space_keeps_it(tmp_path):
    root = make_repository(tmp_path / "ends in a space ")
    assert git.top(root) == root


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_the_terminals_signals_do_not_reach_git(repository):
    said = git.ask(repository, "-c", "alias.session=!cat /proc/$$/stat #", "session")
    assert int(said.rpartition(")")[2].split()[3]) != os.getsid(0)
