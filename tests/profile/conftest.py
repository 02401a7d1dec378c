import pytest

from bench.profile import verb
from tests.data.images import embedded
from tests.profile.given import give
from tests.profile.made import PROFILE


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Where nothing is loaded and profiled but the small profile."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(verb, "images", lambda dataset, data: embedded())
    monkeypatch.setattr(verb.page, "_timeline", lambda *_: "<svg/>")  # the tests of what is shown draw it
    give(monkeypatch, PROFILE)
    return folder
