"""What all verbs have in common."""

import os
import signal
import time

from bench import cli
from bench.cli import main


def test_a_schedulers_signal_is_an_interruption_and_its_handler_is_put_back(monkeypatch, capsys):
    def waits(options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "_env", waits)
    assert main(["env"]) == 3
    assert capsys.readouterr().err == "fcnn-bench: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before
