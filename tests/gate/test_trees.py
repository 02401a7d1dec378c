import subprocess

import pytest

from bench.gate.trees import TreeError, default_ref, trees


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    (root / "fcnn").mkdir(parents=True)
    (root / "fcnn" / "train.py").write_text("VERSION = 1\n")
    run(root, "init", "-q", "-b", "main")
    commit(root, "first")
    return root


def run(root, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    found = subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def commit(root, message):
    run(root, "add", "-A")
    run(root, "commit", "-q", "--allow-empty", "-m", message)
    return run(root, "rev-parse", "HEAD")


def test_both_sides_are_laid_out_and_the_worktree_is_gone_afterwards(repository):
    (repository / "fcnn" / "train.py").write_text("VERSION = 2\n")
    with trees(repository, "HEAD") as sides:
        assert (sides.candidate / "fcnn" / "train.py").read_text() == "VERSION = 2\n"
        assert (sides.reference / "fcnn" / "train.py").read_text() == "VERSION = 1\n"
        assert sides.ref_id == run(repository, "rev-parse", "HEAD")
    assert not sides.reference.exists()
    assert run(repository, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("ref", ["nonsense", "0" * 40, "--help"])
def test_a_ref_that_is_none_is_refused(repository, ref):
    with pytest.raises(TreeError, match="is no commit here"), trees(repository, ref):
        pass


def test_a_ref_without_fcnn_is_refused(repository):
    run(repository, "rm", "-q", "-r", "fcnn")
    commit(repository, "without")
    with pytest.raises(TreeError, match=r"has no fcnn/train\.py"), trees(repository, "HEAD"):
        pass
    assert run(repository, "worktree", "list").count("\n") == 0


def test_the_default_is_the_merge_base_with_the_main_branch(repository):
    first = run(repository, "rev-parse", "HEAD")
    run(repository, "checkout", "-q", "-b", "change")
    commit(repository, "change")
    assert default_ref(repository) == first


def test_on_the_main_branch_it_is_what_was_there_before(repository):
    first = run(repository, "rev-parse", "HEAD")
    second = commit(repository, "second")
    assert default_ref(repository) == first
    (repository / "fcnn" / "train.py").write_text("VERSION = 2\n")
    assert default_ref(repository) == second


def test_without_a_main_branch_a_ref_must_be_named(repository):
    run(repository, "branch", "-m", "main", "trunk")
    with pytest.raises(TreeError, match="name a ref"):
        default_ref(repository)


def test_outside_of_a_checkout(tmp_path):
    with pytest.raises(TreeError):
        default_ref(tmp_path)
