"""The pytest plugin that declares the suite's options and hook, loaded by `-p`.

A conftest's options are known only where it is collected, these wherever pytest runs in this project. Paths want an
equals sign, `--fcnn-results=DIR`: pytest looks for its configuration before it knows any plugin's option, and would
take a DIR that stands alone for a place to look in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.axes import matrix

if TYPE_CHECKING:
    from bench.record.model import Record

PREFIX = "fcnn-"


class Hooks:
    """The suite's own hook."""

    @staticmethod
    def pytest_fcnn_wrote(record: Record, elsewhere: list[Record], folder: Path) -> None:
        """Called once the results folder of a run stands; `elsewhere` are the promoted records shown beside it."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declares the hook above."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the matrix options with the prefix `fcnn-`."""
    group = parser.getgroup("fcnn-bench", "fcnn-bench: the cases to measure")
    matrix.add_options(group.addoption, PREFIX)
    group.addoption(f"--{PREFIX}plan", choices=tuple(matrix.PLANS), default="suite", help="matrix when none is given")
    group.addoption(f"--{PREFIX}command", default=None, help="command line to record")
    group.addoption(f"--{PREFIX}log", type=Path, default=None, help="log to keep as run.log")


def options(config: pytest.Config) -> dict[str, Any]:
    """The values of the options above and of the matrix, by name with underscores."""
    names = [*matrix.option_names(), "plan", "command", "log"]
    return {name: config.getoption(f"{PREFIX}{name}".replace("-", "_")) for name in names}
