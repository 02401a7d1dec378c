"""The pytest plugin that declares the suite's options, loaded by `-p`.

A conftest's options are known only where it is collected, these wherever pytest runs in this project. Paths want an
equals sign, `--fcnn-results=DIR`: pytest looks for its configuration before it knows any plugin's option, and would
take a DIR that stands alone for a place to look in.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench.axes import devices, matrix

PREFIX = "fcnn-"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the matrix options with the prefix `fcnn-`."""
    group = parser.getgroup("fcnn-bench", "fcnn-bench: the cases to measure")
    matrix.add_options(group.addoption, PREFIX)
    group.addoption(f"--{PREFIX}plan", choices=tuple(matrix.PLANS), default="suite", help="matrix when none is given")


def pytest_configure(config: pytest.Config) -> None:
    """Refuses benchmarks that share the machine with each other; tests may run in parallel. Then chooses the GPU."""
    only, skipped = config.getoption("benchmark_only", False), config.getoption("benchmark_skip", False)
    # pytest-xdist's option, which its -n sets as well, in the process that is in charge.
    if (only or not skipped) and config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "fcnn-bench: benchmarks in parallel processes would time each other, and each would write half a record: "
            "leave out -n and --dist, or skip the benchmarks with --benchmark-skip"
        )
    if named := config.getoption(f"{PREFIX}device".replace("-", "_"), None):
        try:
            setattr(config.option, f"{PREFIX}device".replace("-", "_"), devices.choose(named))
        except ValueError as error:
            raise pytest.UsageError(f"fcnn-bench: argument --{PREFIX}device: {error}") from error


def options(config: pytest.Config) -> dict[str, Any]:
    """The values of the options above and of the matrix, by name with underscores."""
    names = [*matrix.option_names(), "plan"]
    return matrix.filled({name: config.getoption(f"{PREFIX}{name}".replace("-", "_")) for name in names})
