"""Records as they are kept of this machine."""

import dataclasses
from pathlib import Path

from bench.measure import facts
from bench.record import store
from bench.record.model import Record
from fcnn.data import load_images


def here(record: Record, root: Path) -> Record:
    """The record as if it were of this machine and of these images."""
    images = load_images("MNIST", root)
    dataset = dataclasses.replace(record.dataset, sha256=images.sha256)
    return dataclasses.replace(record, machine=facts.machine(), dataset=dataset)


def written(record: Record, folder: Path) -> Path:
    folder.mkdir()
    store.write(record, folder)
    return folder
