import contextlib
import os
import signal
import time

import pytest

from bench import interruption


def send(name: str = "SIGINT") -> None:
    os.kill(os.getpid(), getattr(signal, name))
    time.sleep(0)  # where Python runs the handlers of what has come


@pytest.mark.parametrize("name", interruption.NAMES)
def test_every_signal_that_ends_a_command_is_an_interruption_and_its_handler_is_put_back(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    try:
        with interruption.noticed(), pytest.raises(KeyboardInterrupt):
            send(name)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_only_the_first_interrupts():
    reached = []

    def work() -> None:
        try:
            send()
        finally:
            send("SIGTERM")
            send()
            reached.append("saved")

    with interruption.noticed(), pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["saved"]


def test_what_is_saved_is_saved_whole_before_the_first_one_interrupts():
    reached = []

    def save() -> None:
        with interruption.deferred():
            send()
            reached.append("saved")
        reached.append("went on")

    with interruption.noticed(), pytest.raises(KeyboardInterrupt):
        save()
    assert reached == ["saved"]


def test_after_an_interruption_saving_is_not_interrupted_again():
    def work() -> list[str]:
        try:
            send()
        except KeyboardInterrupt:
            with interruption.deferred():
                send()
                return ["saved"]
        return []

    with interruption.noticed():
        assert work() == ["saved"]


def test_one_that_a_library_has_swallowed_is_raised_again():
    with interruption.noticed():
        interruption.check()
        with contextlib.suppress(KeyboardInterrupt):
            send()
        with pytest.raises(KeyboardInterrupt):
            interruption.check()


def test_what_somebody_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interruption.noticed():
            send("SIGHUP")
            interruption.check()
    finally:
        signal.signal(signal.SIGHUP, before)
