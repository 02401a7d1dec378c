"""A process that answers, says something else, fails, dies or is silent, as it is asked; it imports little."""

import os
import signal
import sys
import time

from bench.workers.process import answer_requests


def handle(asked):
    print("something that a library says")
    print('{"neither": "value nor error"}')
    if asked["then"] == "fail":
        raise ValueError("planted\nSet TORCHDYNAMO_VERBOSE=1")
    if asked["then"] == "die":
        print("about to", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)
    if asked["then"] == "end":
        print("Traceback\nValueError: why\nSet TORCH_LOGS=x", file=sys.stderr, flush=True)
        os._exit(3)
    if asked["then"] == "group":
        return [os.getpid(), os.getpgrp()]
    if asked["then"] == "sleep":
        time.sleep(3600)
    return asked["value"] if asked["then"] == "answer" else os.environ.get(asked["then"])


if __name__ == "__main__":
    answer_requests(handle)
