"""The hook by which a run of the suite hands over what it wrote."""

from pathlib import Path

from bench.record.model import Record


def pytest_fcnn_wrote(record: Record, elsewhere: list[Record], folder: Path) -> None:
    """Called once the results folder of a run stands; `elsewhere` are the promoted records shown beside it."""
