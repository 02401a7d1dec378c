"""Records of version 1, whose cases were timed one after the other in one process: to be shown, never compared."""

from __future__ import annotations

import itertools
from typing import Any

SCHEMA_VERSION = 1


def raised(data: dict[str, Any]) -> dict[str, Any]:
    """A record of version 1 as one of version 2, still under timing rules 1.

    Every sample gets a round of its own, so that no two cases have one in common: no ratio within rounds can be made.
    What looks like no record of version 1 is returned as it is, and refused as one of version 2.
    """
    numbers = itertools.count()
    try:
        measurements = [_measurement(m, numbers) for m in data["measurements"]]
        rounds = [round for m in measurements for round in _rounds(m)]
    except (KeyError, TypeError, AttributeError):
        return data
    return {**data, "schema_version": 2, "measurements": measurements, "rounds": rounds}


def _measurement(data: dict[str, Any], numbers: itertools.count[int]) -> dict[str, Any]:
    known = {name: value for name, value in data.items() if name != "warmup_blocks"}
    return {**known, "rounds": list(itertools.islice(numbers, len(data["samples_seconds"])))}


def _rounds(measurement: dict[str, Any]) -> list[dict[str, Any]]:
    group = measurement["case"]["workload"]
    return [
        {"number": number, "group": group, "process": 0, "seconds": seconds * measurement["block_repetitions"],
         "beside": {}}
        for number, seconds in zip(measurement["rounds"], measurement["samples_seconds"], strict=True)
    ]  # fmt: skip
