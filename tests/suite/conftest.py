"""Small images for runs in processes of their own."""

import pytest

from tests.conftest import write_dataset


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return root, list(write_dataset(root).items())
