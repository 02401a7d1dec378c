"""Small images for runs in processes of their own."""

import sys

import pytest

from tests.conftest import write_dataset


@pytest.fixture(autouse=True)
def _breakdowns_in_no_time(request, monkeypatch):
    """Where a test is to be quick: what a step is made of is looked at once. Who imports no torch takes none apart."""
    if "torch" in sys.modules and not request.node.get_closest_marker("slow"):
        from tests.quickly import take_apart_once

        take_apart_once(monkeypatch)


@pytest.fixture
def measured_once(monkeypatch):
    """For tests that ask what becomes of a run's numbers, whatever these say."""
    from tests.quickly import measure_once

    measure_once(monkeypatch)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return root, list(write_dataset(root).items())
