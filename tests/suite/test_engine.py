"""Rounds and processes: who has a turn when, what a failure costs, what is done again, and where a run goes on."""

import collections
import random

import pytest

from bench.analyse import levels
from bench.analyse.levels import ratio_of
from bench.analyse.rounds import counting
from bench.record.folding import folded
from bench.record.journal import of_kind
from bench.suite.costs import BLOCK_SECONDS, LEAD_SECONDS
from bench.suite.engine import MOST_SIZING_ROUNDS, Group, Rounds
from bench.suite.plan import Share
from tests.data.measurements import case
from tests.simulations import often, seldom, sizes
from tests.suite.synthetic import BASE, BATCH, CASES, FUSED, SECONDS, Machine, journal, measured


def turns(machine):
    """By process, the cases in the order of their turns."""
    found = collections.defaultdict(list)
    for process, name, arguments in machine.asked:
        if name in ("turn", "train_seed"):
            found[process].append(arguments["id"])
    return found


def test_every_process_has_its_rounds_and_every_round_each_case_once(tmp_path):
    machine = Machine()
    rounds = of_kind(measured(machine, journal(tmp_path)).lines, "round")
    assert [(line["number"], line["process"]) for line in rounds] == [(n, n // 3) for n in range(12)]
    assert all(sorted(line["order"]) == [0, 1, 2] for line in rounds)
    assert all(len(line["seconds"]) == 3 for line in rounds)
    assert len({tuple(line["order"]) for line in rounds}) > 2
    for asked in turns(machine).values():
        # And the first of a process, which is not kept.
        assert len(asked) == 12
        assert all(sorted(asked[n : n + 3]) == sorted(CASES) for n in range(0, 12, 3))


def test_every_process_prepares_in_an_order_of_its_own(tmp_path):
    machine = Machine()
    measured(machine, journal(tmp_path), Share(8, 1, 1.0))
    orders = collections.defaultdict(list)
    for process, name, arguments in machine.asked:
        if name == "prepare":
            orders[process].append(arguments["id"])
    assert all(sorted(order) == sorted(CASES) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) > 2


def test_a_block_has_one_size_in_all_of_a_run(tmp_path):
    machine = Machine(between=0.0, within=0.0)
    measured(machine, journal(tmp_path))
    sizes = collections.defaultdict(set)
    for _, name, arguments in machine.asked:
        if name == "turn":
            sizes[arguments["id"]].add((arguments["repetitions"], arguments["lead_seconds"]))
    assert {id: list(found) for id, found in sizes.items()} == {
        id: [(-(-BLOCK_SECONDS // seconds), LEAD_SECONDS)] for id, seconds in SECONDS.items()
    }


def test_blocks_are_sized_in_peace(tmp_path):
    """Beside others, everything takes twenty times as long; they go after two rounds."""
    machine = Machine(between=0.0, within=0.0, disturbed=lambda number: number < 2)
    machine.slow = lambda: 20.0 if machine.looks < 3 else 1.0
    record = folded(measured(machine, journal(tmp_path)).lines)
    for measurement in record.measurements:
        assert measurement.block_repetitions == -(-BLOCK_SECONDS // SECONDS[measurement.id])
    assert {r.disturbed for r in record.rounds} == {None}
    assert len(record.rounds) == 12


def test_blocks_are_sized_all_the_same_where_it_does_not_become_quiet(tmp_path):
    machine = Machine(between=0.0, within=0.0, disturbed=lambda number: True)
    found = measured(machine, journal(tmp_path))
    assert sum(name == "turn" for process, name, _ in machine.asked if process == 0) == 3 * (MOST_SIZING_ROUNDS + 5)
    assert len(of_kind(found.lines, "sizes")) == 3


def test_a_case_that_fails_while_blocks_are_sized_costs_itself(tmp_path):
    machine = Machine(fault=("turn", FUSED, 0, "dies"))
    found = measured(machine, journal(tmp_path))
    record = folded(found.lines)
    assert [gap.id for gap in record.unmeasured] == [FUSED]
    assert {id for line in of_kind(found.lines, "sizes") for id in line["repetitions"]} == {BASE, BATCH}
    assert all(m.block_repetitions > 1 for m in record.measurements)


def test_the_samples_are_those_of_the_turns(tmp_path):
    machine = Machine(between=0.0, within=0.0)
    record = folded(measured(machine, journal(tmp_path)).lines)
    for measurement in record.measurements:
        assert measurement.samples_seconds == [pytest.approx(SECONDS[measurement.id])] * 12
        assert measurement.rounds == list(range(12))
        assert measurement.block_repetitions == -(-BLOCK_SECONDS // SECONDS[measurement.id])
        assert (measurement.first_call_seconds, measurement.warmup_seconds) == (0.01, 0.1)


@pytest.mark.parametrize("how", ["fails", "dies", "hangs"])
@pytest.mark.parametrize(("request_", "before"), [("prepare", 0), ("prepare", 2), ("turn", 6)])
def test_a_failure_costs_its_case_and_the_round_that_it_was_in(tmp_path, how, request_, before):
    machine = Machine(fault=(request_, FUSED, before, how))
    record = folded(measured(machine, journal(tmp_path)).lines)
    (gap,) = record.unmeasured
    assert (gap.id, gap.kind) == (FUSED, "failed")
    assert {"fails": "CUDA out of memory", "dies": "SIGKILL", "hangs": "gave no answer"}[how] in gap.reason
    assert [m.id for m in record.measurements] == [BASE, BATCH]
    whole = collections.Counter(r.process for r in record.rounds)
    assert sorted(whole.values())[-4:] == [3, 3, 3, 3]
    # Whatever was measured beside it before it failed, the others keep.
    assert all(len(m.samples_seconds) == len(record.rounds) for m in record.measurements)


def test_a_case_that_fails_has_no_further_turn(tmp_path):
    machine = Machine(fault=("turn", FUSED, 1, "dies"))
    measured(machine, journal(tmp_path))
    last = max(n for n, (_, _, arguments) in enumerate(machine.asked) if arguments["id"] == FUSED)
    assert machine.asked[last][1] == "turn"
    assert sum(arguments["id"] == FUSED and name == "turn" for _, name, arguments in machine.asked) == 2


def test_where_every_case_fails_the_group_ends(tmp_path):
    machine = Machine(fault=("prepare", BASE, 0, "fails"))
    found = measured(machine, journal(tmp_path, {BASE: CASES[BASE]}), cases={BASE: CASES[BASE]})
    assert machine.processes == 1
    assert [gap.kind for gap in folded(found.lines).unmeasured] == ["failed"]


def test_a_disturbed_round_is_kept_and_repeated_in_the_same_process(tmp_path):
    machine = Machine(disturbed=lambda number: number == 2)  # blocks were sized in the first
    record = folded(measured(machine, journal(tmp_path)).lines)
    assert [r.disturbed for r in record.rounds[:4]] == [None, "others were busy", None, None]
    assert [r.process for r in record.rounds[:5]] == [0, 0, 0, 0, 1]
    assert len(record.rounds) == 13


@pytest.mark.parametrize("when", [2, 3], ids=["before", "after"])
def test_a_round_whose_cores_lay_apart_is_kept_and_repeated(tmp_path, when):
    machine = Machine()
    machine.team = lambda number: 4e-6 if number == when else 2e-6
    record = folded(measured(machine, journal(tmp_path)).lines)
    assert [r.beside.team_seconds for r in record.rounds[:3]] == [2e-6, 4e-6, 2e-6]
    assert [r.process for r in record.rounds[:5]] == [0, 0, 0, 0, 1]
    assert [counting(m.rounds, record) for m in record.measurements] == [{0, *range(2, 13)}] * 3


def test_a_machine_that_does_not_become_quiet_is_not_waited_for(tmp_path):
    machine = Machine(disturbed=lambda number: True)
    record = folded(measured(machine, journal(tmp_path)).lines)
    assert collections.Counter(r.process for r in record.rounds) == dict.fromkeys(range(4), 5)


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    """After a process and a half: the whole one counts, the half one does not, and none is continued."""
    lines = journal(tmp_path)
    stopped = Machine()

    class Stop(Exception):
        pass

    original = lines.write

    def until(kind, **fields):
        if kind == "round" and fields["number"] == 4:
            raise Stop
        original(kind, **fields)

    lines.write = until
    with pytest.raises(Stop):
        measured(stopped, lines)
    lines.write = original
    machine = Machine(seed=1)
    record = folded(measured(machine, lines).lines)
    assert machine.processes == 3
    assert [r.process for r in record.rounds] == [0, 0, 0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [r.number for r in record.rounds] == list(range(13))
    assert {len(of_kind(lines.lines, "sizes"))} == {3}
    again = Machine()
    measured(again, lines)
    assert again.processes == 0


def test_an_epoch_is_a_block_by_itself(tmp_path):
    cases = {"epoch[cpu-b64-fp32]": case("epoch")}
    machine = Machine()
    found = measured(machine, journal(tmp_path, cases), Share(3, 1, 1.0), cases, "epochs")
    assert {arguments["repetitions"] for _, name, arguments in machine.asked if name == "turn"} == {1}
    assert [line["seconds"] for line in of_kind(found.lines, "round")]
    assert sum(name == "turn" for _, name, _ in machine.asked) == 3  # none is discarded


def test_every_round_of_trainings_has_a_seed_of_its_own(tmp_path):
    cases = {"accuracy[cpu-b64-fp32]": case("accuracy"), "accuracy[cpu-b64-bf16]": case("accuracy", precision="bf16")}
    machine = Machine()
    record = folded(measured(machine, journal(tmp_path, cases), Share(3, 2, 1.0), cases, "trainings").lines)
    for measurement in record.measurements:
        assert measurement.accuracy.seeds == [0, 1, 2, 3, 4, 5]
        assert measurement.accuracy.test_accuracy_fraction == [0.93] * 6


def test_progress_is_told_between_turns_and_names_what_is_under_way(tmp_path):
    said = []
    machine = Machine()

    group = Group("steps", CASES, Share(2, 2, 1.0), {})
    Rounds(
        group, machine.start, journal(tmp_path), random.Random(0), lambda what, s: said.append(what), machine.watch
    ).measure()
    first = "steps: process 1 of 2"
    assert said[:4] == [first, f"{first}, round 1 of 2", f"{first}, round 2 of 2", "steps: process 2 of 2"]


@sizes(25, 1000)
def test_two_runs_on_simulated_workers_agree_as_often_as_they_say(tmp_path, trials, record_property, monkeypatch):
    monkeypatch.setattr(levels, "RUN_SCATTER", 0.0)
    outside = 0
    for trial in range(trials):
        folder = tmp_path / str(trial)
        folder.mkdir()
        record = folded(measured(Machine(seed=trial), journal(folder), Share(6, 6, 1.0)).lines)
        fused, base = (next(m for m in record.measurements if m.id == id) for id in (FUSED, BASE))
        low, high = ratio_of(fused, base, record).bounds()
        outside += not low <= SECONDS[FUSED] / SECONDS[BASE] <= high
    record_property("outside", outside / trials)
    assert seldom(outside, trials, 0.07)
    assert often(outside, trials, 0.03)


def test_a_long_epoch_is_timed_in_the_same_part_in_all_processes(tmp_path):
    epoch = {"epoch[cpu-b64-fp32-loader]": case("epoch", feed="loader")}
    to = journal(tmp_path, epoch)
    machine = Machine()
    measured(machine, to, Share(3, 1, 1.0), epoch, "epochs", part_seconds=0.8)
    machine.epoch = 8.0  # slower meanwhile
    measured(machine, to, Share(4, 1, 1.0), epoch, "epochs", part_seconds=0.8)
    assert [arguments["steps"] for _, name, arguments in machine.asked if name == "turn"] == [188] * 4
    asked = [arguments["part_seconds"] for _, name, arguments in machine.asked if name == "prepare"]
    assert asked == [0.8, None, None, None]
    assert [measurement.timed_steps for measurement in folded(to.lines).measurements] == [188]
