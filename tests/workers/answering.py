"""A worker that answers, says something else, fails, dies or is silent, as it is asked; it imports little."""

import os
import signal
import sys
import time

from bench.workers import serve


def handle(state, then="answer", value=None):
    print("something that a library says")
    if then == "fail":
        raise ValueError("planted\nSet TORCHDYNAMO_VERBOSE=1")
    if then == "exit":
        raise SystemExit(0)
    if then == "die":
        print("about to", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)
    if then == "end":
        print("Traceback\nValueError: why\nSet TORCH_LOGS=x", file=sys.stderr, flush=True)
        os._exit(3)
    if then == "group":
        return [os.getpid(), os.getpgrp()]
    if then == "sleep":
        time.sleep(3600)
    return value if then == "answer" else os.environ.get(then)


if __name__ == "__main__":
    serve.function = lambda name: handle
    serve.main()
