import errno
from pathlib import Path

import pytest

from bench.cli import main
from bench.profile import verb
from bench.profile.compose import ProfileError
from bench.profile.verb import LINK
from fcnn.data import embedded_images
from tests.profile.made import PROFILE


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Where nothing is loaded and profiled but the small profile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "load_images", lambda dataset, data: embedded_images("asked for"))

    def profile(case, source, images, traces, steps, say):
        assert traces.is_absolute()  # its processes run elsewhere
        assert Path(images.data).is_absolute()
        (traces / PROFILE.trace_file).write_bytes(b"trace")
        return PROFILE

    monkeypatch.setattr(verb, "profile", profile)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


STEM = "traces/epoch-cpu-b64-fp32-loader"
WRITTEN = {
    "profile.html", "profile.md", "profile.json", f"{STEM}.json.gz", f"{STEM}-python.svg", f"{STEM}-operators.svg",
}  # fmt: skip


def test_all_files_are_there(here, capsys):
    assert main(["profile", "--run", "run"]) == 0
    assert files(here / "run") == WRITTEN
    assert "profile: run/profile.html" in capsys.readouterr().out


def test_it_goes_to_the_newest_run_of_this_machine(here, monkeypatch):
    slug = verb.facts.machine(["cpu", "cuda"]).slug
    for name in ("20260101T000000Z_a", "20260202T000000Z_b"):
        folder = here / "results" / slug / name
        folder.mkdir(parents=True)
        (folder / "record.json").write_text("{}")
    assert main(["profile"]) == 0
    assert files(folder) == {*WRITTEN, "record.json"}


def test_without_a_run_it_makes_a_folder(here):
    assert main(["profile"]) == 0
    (folder,) = (here / "results").glob("*/*")
    assert files(folder) == WRITTEN


def test_the_report_gets_a_link_once(here):
    run = here / "run"
    run.mkdir()
    (run / "report.html").write_text("<footer>Made. <!-- profile --><!-- /profile --></footer>")
    for _ in range(2):
        assert main(["profile", "--run", "run"]) == 0
        assert (run / "report.html").read_text() == f"<footer>Made. <!-- profile -->{LINK}<!-- /profile --></footer>"


def test_two_profiles_are_set_against_each_other(here):
    assert main(["profile", "--against", "epoch[cpu-b64-fp32]", "--run", "run"]) == 0
    assert files(here / "run") == {*WRITTEN, "profile-b.json"}
    assert "## The difference" in (here / "run" / "profile.md").read_text()
    assert main(["profile", "--run", "run"]) == 0
    assert files(here / "run") == WRITTEN  # the other side of an earlier comparison is not left beside


@pytest.mark.parametrize(
    ("error", "code"),
    [(ProfileError("the process for trace failed"), 3), (OSError(errno.ENOSPC, "No space left on device"), 3)],
)
def test_a_failure_is_one_line_and_leaves_nothing(here, monkeypatch, capsys, error, code):
    def fails(*_):
        raise error

    monkeypatch.setattr(verb, "profile", fails)
    assert main(["profile", "--run", "run"]) == code
    err = capsys.readouterr().err
    assert str(error) in err
    assert err.count("\n") == 1
    assert not (here / "run").exists()


def test_an_interruption_leaves_the_run_as_it_was(here, monkeypatch):
    run = here / "run"
    run.mkdir()
    (run / "profile.html").write_text("earlier")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verb.show, "markdown", interrupted)
    assert main(["profile", "--run", "run"]) == 3
    assert files(run) == {"profile.html"}
    assert (run / "profile.html").read_text() == "earlier"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["step"], 2, "'step' is no case: like step[cpu-b64-fp32]"),
        (["step[cpu-b64-fp33]"], 2, "'fp33' is no device"),
        (["step[cpu-b63]"], 2, "'b63' is no device"),
        (["step[b64-fp32]"], 2, "it names no device"),
        (["step[cpu-b64-tf32]"], 2, "TF32 is a format of NVIDIA's tensor cores"),
        (["step[cpu-b64-b128-fp32]"], 2, "it names its batch size twice"),
        (["step[cpu-b64-fp32-loader]"], 2, "the loader belongs to whole epochs"),
        (["--against", "no-such-ref"], 4, "not a git repository"),
        (["accuracy[cpu-b64-fp32]"], 2, "profile an epoch, such as epoch[cpu-b64-fp32]"),
        (["--at", "no-such-ref"], 4, "not a git repository"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(here, capsys, words, code, message):
    assert main(["profile", *words]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert files(here) == set()
