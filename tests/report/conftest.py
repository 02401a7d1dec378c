from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.write import write_report
from tests.report.made import SMALL


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small records' report; drawn once, and only to be read."""
    folder = tmp_path_factory.mktemp("report")
    assert write_report(SMALL, folder) == []
    return folder
