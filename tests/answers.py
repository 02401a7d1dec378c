"""A worker that answers any request at once, chosen by `bench.workers.process.WORKER`; it imports next to nothing.

It does not answer to what `HANGS_AT` names.
"""

import functools
import inspect
import json
import os
import time
from pathlib import Path
from typing import Any

from bench.workers import serve


def answer(request: str, state: serve.State, /, **arguments: Any) -> Any:
    """Something that who asks can go on with."""
    what = arguments.get("what", request)
    if what == os.environ.get("HANGS_AT"):
        time.sleep(3600)
    if what == "trace":
        Path(arguments["file"]).write_bytes(b"trace")
        return json.loads(os.environ["TRACED"])
    if what == "ladder_bound":
        return {"seconds": 0.01, "bound": "compute", "unknown": None}
    if what == "ladder_epoch":
        return {"seconds": 0.05, "with_all_seconds": 0.06, "test_accuracy_fraction": 0.93}
    return None


def check_request(request: str, arguments: dict[str, Any]) -> None:
    """For what stands for a worker in a test; raises KeyError or TypeError where no worker could answer this."""
    inspect.signature(serve.function(request)).bind(serve.State(), **arguments)


if __name__ == "__main__":
    serve.function = lambda name: functools.partial(answer, name)
    serve.main()
