"""What is left of a ladder, with steps that were made up."""

import dataclasses

import pytest

from bench.analyse.ladder import LadderStep
from bench.ladder import progress, steps
from bench.ladder.progress import COMPILE_SECONDS, START_SECONDS, Climbed
from bench.ladder.table import LadderRow


def row(name, **changes):
    return dataclasses.replace(LadderRow(name, steps.index_select, ""), **changes)


def climbed(*, started=True, **seconds):
    """By name, steps with these epochs."""
    return {name: Climbed(row(name), seconds=list(of), started=started) for name, of in seconds.items()}


def test_an_epoch_that_is_not_known_is_guessed_from_the_step_before():
    one = climbed(first=[10.0, 10.0, 10.0]) | climbed(started=False, second=[])
    # Started, from cold, timed once, and twice in rounds: 6 s each.
    assert progress.seconds_left(one, ["first", "second"], 3) == pytest.approx(START_SECONDS + 4 * 6.0)
    one["second"].row = row("second", also=(steps.generated,))
    assert progress.seconds_left(one, ["second"], 3) == pytest.approx(START_SECONDS + COMPILE_SECONDS + 4 * 6.0)


def test_what_is_left_of_a_step_ends_when_it_has_enough():
    assert progress.seconds_left(climbed(first=[1.0] * 3), ["first"], 3) == pytest.approx(5.0)
    assert progress.seconds_left(climbed(first=[0.001] * 3), ["first"], 3) == pytest.approx(0.009)
    assert progress.seconds_left(climbed(first=[55.0, 1.0, 1.0]), ["first"], 3) == 0  # one long epoch has been enough
    assert progress.seconds_left(climbed(first=[1.0]), [], 3) == 0


def test_a_step_that_failed_takes_no_more_time():
    failed = climbed(first=[])
    failed["first"].reason = "planted"
    assert progress.seconds_left(failed, ["first"], 3) == 0


def test_what_an_interrupted_ladder_had_is_gone_on_with():
    step = LadderStep("x", "", None, False, [1.0, 2.0], 3.0, [0.9, 0.91, 0.92], rounds=[0, 1])
    found = Climbed.begin(row("x"), step)
    assert (found.seconds, found.rounds, found.cold_seconds, found.reason) == ([1.0, 2.0], [0, 1], 3.0, None)
    found.seconds.append(3.0)
    assert step.seconds == [1.0, 2.0]
    early = dataclasses.replace(step, seconds=[], rounds=[], reason=progress.INTERRUPTED)
    assert Climbed.begin(row("x"), early).reason is None
    assert Climbed.begin(row("x"), dataclasses.replace(early, reason="planted")).reason == "planted"
    assert Climbed.begin(row("x", why_not=lambda: "not here"), None).reason == "not here"


def test_the_first_is_with_the_others_for_as_many_rounds_as_were_asked_for():
    both = climbed(first=[9.0] * 3, second=[1.0])
    assert progress.in_round(both, 3) == ["first", "second"]
    both["first"].turns = 2
    assert progress.in_round(both, 3) == ["second"]
    both["second"].seconds = [9.0] * 3
    assert progress.in_round(both, 3) == []


def test_without_anything_left_nothing_is_started():
    done = climbed(first=[9.0] * 3, second=[9.0] * 3)
    assert progress.in_order(done, 3) == []
    done["second"].seconds = [9.0]
    assert progress.in_order(done, 3) == ["first", "second"]
    done["first"].reason = "planted"
    assert progress.in_order(done, 3) == ["second"]
