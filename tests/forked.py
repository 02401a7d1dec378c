"""What a command would start afresh, forked from it: it has imported torch by then, for which others need seconds.

In place of `bench.workers.process.Process` for a forge, in commands that `tests.commands` has forked in turn.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence

from bench import interruption
from bench.workers.process import kill_group


class Forked:
    """A module run as a program in a fork of this process; what `bench.workers.forge.Forge` needs of `Process`.

    Args:
        words: `python -m MODULE ARGUMENT...`, of which the first word does not matter.
        environment: Variables beside those of this process.
        kept: File descriptors that it inherits.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], kept: Sequence[int], harness: None
    ) -> None:
        self._words, self._environment, self._kept = words, environment, kept

    def __enter__(self) -> Forked:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.pid = os.fork()
        if self.pid == 0:
            self._be()
        return self

    def __exit__(self, *_: object) -> None:
        kill_group(self.pid)
        self._said.close()

    def wait_for_end(self, limit_seconds: float) -> None:
        """Waits for it to end; no longer than a test, whatever the limit."""
        os.waitpid(self.pid, 0)

    def last_words(self) -> str:
        """What it said."""
        self._said.seek(0)
        return self._said.read()

    def _be(self) -> None:
        code = 1
        try:
            os.setsid()
            for number in interruption.numbers():
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for stream in (1, 2):
                os.dup2(self._said.fileno(), stream)
            last = 2
            for descriptor in (*sorted(self._kept), os.sysconf("SC_OPEN_MAX")):
                os.closerange(last + 1, descriptor)
                last = descriptor
            os.environ.update(self._environment)
            sys.argv = list(self._words[2:])
            runpy.run_module(self._words[2], run_name="__main__", alter_sys=True)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
