"""A process that answers for the children of a profile and of a ladder at once, and imports next to nothing.

It does not answer to what `HANGS_AT` names.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from bench.workers.process import answer_requests


def handle(request: dict[str, Any]) -> Any:
    """A request of `bench.profile.compose` or `bench.ladder.climb`."""
    what = request.get("what") or request.get("name") or "epoch"
    if what == os.environ.get("HANGS_AT"):
        time.sleep(3600)
    if what == "trace":
        Path(request["file"]).write_bytes(b"trace")
        return json.loads(os.environ["TRACED"])
    if what == "floor":
        return {"seconds": 0.01}
    if what == "epoch":
        return {"seconds": 0.05, "with_all_seconds": 0.06, "test_accuracy_fraction": 0.93}
    return None


if __name__ == "__main__":
    answer_requests(handle)
