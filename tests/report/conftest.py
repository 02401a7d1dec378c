from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.plot import Plot
from bench.report.plots import plots
from bench.report.write import write_report
from tests.report.made import LARGE, SMALL


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder of a machine's records with another's beside it; drawn once, and only to be read."""
    folder = tmp_path_factory.mktemp("report")
    assert write_report(LARGE, folder) == []
    return folder


@pytest.fixture(scope="session")
def small() -> list[Plot]:
    """The plots of the small set, drawn once."""
    return plots(SMALL)
