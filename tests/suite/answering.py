"""A process that answers, says something else, fails or dies, as it is asked."""

import json
import os
import signal
import sys


def main() -> None:
    for line in sys.stdin:
        answer(json.loads(line))


def answer(asked) -> None:
    if asked["then"] == "answer":
        print("something that a library says")
        print(json.dumps({"got": asked["value"]}), flush=True)
    elif asked["then"] == "mumble":
        print("no JSON")
    elif asked["then"] == "fail":
        raise ValueError("planted")
    elif asked["then"] == "die":
        print("about to", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
