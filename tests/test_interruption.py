import contextlib
import os
import signal
import time

import pytest

from bench import interruption


def send(name: str | int = "SIGINT") -> None:
    os.kill(os.getpid(), name if isinstance(name, int) else getattr(signal, name))
    time.sleep(0)  # where Python runs the handlers of what has come


def test_every_signal_that_would_end_the_process_is_known():
    # Those that stay: what cannot be caught, faults of the program, stops, what does nothing, and what Python ignores.
    others = {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGIOT", "SIGTRAP", "SIGSYS",
              "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGCHLD", "SIGCLD", "SIGURG", "SIGWINCH", "SIGINFO",
              "SIGEMT", "SIGPIPE", "SIGXFSZ"}  # fmt: skip
    here = {int(number): number.name for number in signal.Signals}
    assert {name for number, name in here.items() if number not in interruption.numbers()} <= others


@pytest.mark.parametrize("number", interruption.numbers())
def test_every_signal_that_ends_a_command_is_an_interruption_and_its_handler_is_put_back(number):
    before = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    try:
        with interruption.noticed(), pytest.raises(KeyboardInterrupt):
            send(number)
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


def test_what_is_allowed_is_interrupted_at_once_and_what_comes_after_it_is_not():
    reached = []

    def work() -> None:
        with interruption.deferred():
            with contextlib.suppress(KeyboardInterrupt), interruption.allowed():
                send()
                reached.append("measured on")
            reached.append("saved")
        reached.append("shown")  # it has interrupted, and does so once

    with interruption.noticed():
        work()
    assert reached == ["saved", "shown"]


def test_a_signal_after_the_last_measurement_waits_until_it_is_saved():
    reached = []

    def work() -> None:
        with interruption.deferred():
            with interruption.allowed():
                reached.append("measured")
            send()
            reached.append("saved")

    with interruption.noticed(), pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["measured", "saved"]


def test_a_signal_before_the_first_measurement_is_not_waited_for():
    reached = []

    def work() -> None:
        with interruption.deferred():
            send()
            with interruption.allowed():
                reached.append("measured")

    with interruption.noticed(), pytest.raises(KeyboardInterrupt):
        work()
    assert reached == []


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


def test_one_that_was_swallowed_before_measuring_is_raised_where_it_begins():
    reached = []

    def work() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            send()
        with interruption.deferred():
            interruption.check()  # not here: what is saved is saved
            with interruption.allowed():
                reached.append("measured")

    with interruption.noticed(), pytest.raises(KeyboardInterrupt):
        work()
    assert reached == []


def test_what_somebody_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interruption.noticed():
            send("SIGHUP")
            interruption.check()
    finally:
        signal.signal(signal.SIGHUP, before)
