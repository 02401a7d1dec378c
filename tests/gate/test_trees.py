"""What is compared with what, on repositories that are made on the spot."""

import os
import subprocess
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.gate.trees import default_ref, program_of, trees
from tests.measure.repositories import commit, make_repository, run


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "[a] repository")


def everything_in(root: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in (root / ".git").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_both_sides_are_laid_out_and_the_repository_is_not_written_to(repository):
    (repository / "fcnn" / "train.py").write_text("VERSION = 2\n")
    os.utime(repository / "fcnn" / "model.py", (1, 1))  # a git that may write would refresh its index
    before = everything_in(repository)
    with trees(repository, "HEAD") as sides:
        assert (sides.candidate / "fcnn" / "train.py").read_text() == "VERSION = 2\n"
        assert (sides.reference / "fcnn" / "train.py").read_text() == "VERSION = 1\n"
        assert {path.name for path in sides.reference.iterdir()} == {"fcnn"}
        assert everything_in(repository) == before
    assert not sides.reference.exists()
    assert everything_in(repository) == before
    assert sides.ref_id == run(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("ref", ["nonsense", "0" * 40, "--help"])
def test_a_ref_that_is_none_is_refused(repository, ref):
    with pytest.raises(BenchError, match="is no commit here"), trees(repository, ref):
        pass


def test_only_a_shallow_clone_is_told_to_fetch_the_rest(repository, tmp_path):
    shallow = tmp_path / "shallow"
    run(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), str(shallow))
    for root, deepen in ((repository, False), (shallow, True)):
        with pytest.raises(BenchError) as refused, trees(root, "nonsense"):
            pass
        assert ("fetch the whole history" in str(refused.value)) == deepen


def test_a_ref_without_fcnn_is_refused(repository):
    run(repository, "rm", "-q", "-r", "fcnn")
    commit(repository, "without")
    (repository / "fcnn").mkdir()
    (repository / "fcnn" / "train.py").touch()
    with pytest.raises(BenchError, match=r"HEAD has no fcnn/train\.py"), trees(repository, "HEAD"):
        pass


def test_a_working_tree_without_fcnn_is_a_usage_error(repository):
    (repository / "fcnn" / "train.py").unlink()
    with pytest.raises(BenchError, match=r"has no fcnn/train\.py") as raised, trees(repository, "HEAD"):
        pass
    assert raised.value.exit_code == 2


def test_of_the_working_tree_only_what_git_would_give_counts(repository):
    fcnn = repository / "fcnn"
    (fcnn / ".#train.py").symlink_to("user@host.1:2")  # an editor's lock
    (fcnn / "new.py").touch()
    (fcnn / "linked.py").symlink_to("train.py")
    (fcnn / "__pycache__").mkdir()
    (fcnn / "__pycache__" / "train.pyc").touch()
    (fcnn / "ignored.py").touch()
    (repository / ".git" / "info" / "exclude").write_text("__pycache__\nignored.py\n")
    (fcnn / "model.py").unlink()
    os.mkfifo(fcnn / "pipe.py")
    odd = "a\tb\n\udcff.py"
    (fcnn / odd).touch()
    with trees(repository, "HEAD") as sides:
        names = {path.name for path in (sides.candidate / "fcnn").iterdir()}
        assert names == {"train.py", "new.py", "linked.py", odd}
        assert not (sides.candidate / "fcnn" / "linked.py").is_symlink()
        assert {path.name for path in (sides.reference / "fcnn").iterdir()} == {"train.py", "model.py"}


def contents(tree: Path) -> dict[str, str]:
    return {path.relative_to(tree).as_posix(): path.read_text() for path in tree.rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", ["inside", "outside"])
def test_links_are_what_they_lead_to_on_both_sides(repository, tmp_path, folder):
    kernels = repository / "kernels" if folder == "inside" else tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "one.py").write_text("ONE = 1\n")
    (kernels / "other.py").symlink_to("one.py")
    fcnn = repository / "fcnn"
    (fcnn / "kernels").symlink_to(os.path.relpath(kernels, fcnn))
    (fcnn / "alone.py").symlink_to(os.path.relpath(kernels / "one.py", fcnn))
    (fcnn / "twice.py").symlink_to("alone.py")
    (fcnn / "through.py").symlink_to("kernels/one.py")
    (fcnn / "absolute.py").symlink_to(kernels / "one.py")
    (kernels / "again").symlink_to(".")
    (fcnn / "nowhere.py").symlink_to("a" * 250 + "/" + "b" * 300)
    (fcnn / "round.py").symlink_to("round.py")
    commit(repository, "links")
    with trees(repository, "HEAD") as sides:
        assert contents(sides.candidate) == contents(sides.reference)
        found = contents(sides.candidate)
        assert set(found) == {f"fcnn/{name}" for name in (
            "train.py", "model.py", "alone.py", "twice.py", "through.py", "absolute.py", "kernels/one.py",
            "kernels/other.py")}  # fmt: skip
        names = ("alone.py", "twice.py", "through.py", "absolute.py", "kernels/other.py")
        assert {found[f"fcnn/{name}"] for name in names} == {"ONE = 1\n"}
    (kernels / "one.py").write_text("ONE = 2\n")
    with trees(repository, "HEAD") as sides:
        assert contents(sides.candidate)["fcnn/through.py"] == "ONE = 2\n"
        expected = "ONE = 1\n" if folder == "inside" else "ONE = 2\n"
        assert {contents(sides.reference)[f"fcnn/{name}"] for name in names} == {expected}


def test_the_program_may_be_a_link_itself(repository):
    (repository / "fcnn").rename(repository / "program")
    (repository / "fcnn").symlink_to("program")
    commit(repository, "link")
    with trees(repository, "HEAD") as sides:
        assert contents(sides.candidate) == contents(sides.reference)
        assert "fcnn/train.py" in contents(sides.reference)


def test_attributes_and_filters_of_the_user_change_no_side_and_nothing_of_theirs_is_run(repository, tmp_path):
    touched = tmp_path / "touched"
    run(repository, "config", "filter.planted.smudge", f"touch {touched}; cat")
    run(repository, "config", "filter.lost.smudge", "no-such-program")
    run(repository, "config", "filter.lost.required", "true")
    attributes = "model.py export-ignore export-subst filter=planted\ntrain.py filter=lost eol=crlf\n"
    (repository / ".git" / "info" / "attributes").write_text(attributes)
    with trees(repository, "HEAD") as sides:
        assert contents(sides.candidate) == contents(sides.reference)
        assert len(contents(sides.reference)) == 2
    assert not touched.exists()


def test_what_a_sparse_checkout_leaves_out_is_there_and_what_was_deleted_is_not(repository):
    run(repository, "update-index", "--skip-worktree", "fcnn/model.py")
    (repository / "fcnn" / "model.py").unlink()
    with trees(repository, "HEAD") as sides:
        assert contents(sides.candidate) == contents(sides.reference)
    run(repository, "update-index", "--no-skip-worktree", "fcnn/model.py")
    with trees(repository, "HEAD") as sides:
        assert set(contents(sides.candidate)) == {"fcnn/train.py"}


def test_a_repository_that_lacks_a_file_says_so(repository):
    for id in run(repository, "rev-parse", "HEAD:fcnn/model.py").split():
        (repository / ".git" / "objects" / id[:2] / id[2:]).unlink()
    with pytest.raises(BenchError, match=r"the repository lacks [0-9a-f]{40}$"), trees(repository, "HEAD"):
        pass


def test_a_program_outside_of_repositories_is_copied_whole(repository, tmp_path):
    (repository / "fcnn" / "ignored.py").touch()
    folder = program_of(repository, tmp_path / "copy")
    assert {path.name for path in (folder / "fcnn").iterdir()} == {"train.py", "model.py", "ignored.py"}


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
    with pytest.raises(BenchError, match="name a ref"):
        default_ref(repository)


def test_a_shallow_clone_is_called_one(repository, tmp_path):
    commit(repository, "second")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repository}", str(clone)], check=True)
    with pytest.raises(BenchError, match=r"this clone is shallow .*git fetch --unshallow"):
        default_ref(clone)


def test_before_the_first_commit_there_is_nothing_to_compare_with(tmp_path):
    run(tmp_path, "init", "-q", "-b", "main")
    with pytest.raises(BenchError, match="has no commit to compare with"):
        default_ref(tmp_path)


def test_outside_of_a_checkout(tmp_path):
    with pytest.raises(BenchError):
        default_ref(tmp_path)
