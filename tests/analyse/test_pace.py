import dataclasses

import pytest

from bench.analyse.levels import by_process
from bench.analyse.pace import apart_from_each_other, core_pace, disturbance
from bench.analyse.rounds import counting
from bench.record.model import Beside
from tests.data.records import CPU_RECORD


def record(**facts):
    """Its rounds with these facts beside them, one after the other."""
    lists = [dict(zip(facts, values, strict=True)) for values in zip(*facts.values(), strict=True)]
    rounds = [dataclasses.replace(CPU_RECORD.rounds[n], beside=Beside(**one)) for n, one in enumerate(lists)]
    return dataclasses.replace(CPU_RECORD, rounds=rounds)


def test_a_round_is_disturbed_where_handing_work_over_takes_far_longer_than_at_best():
    of = record(team_seconds=[2.2e-6, 2.4e-6, 4.1e-6, None])
    assert [disturbance(one, of) for one in of.rounds] == [None, None, "the host had moved the cores apart", None]
    assert counting([0, 1, 2], of) == {0, 1}


def test_what_was_told_when_the_round_was_measured_comes_first():
    of = record(team_seconds=[2e-6, 4e-6])
    told = dataclasses.replace(of.rounds[1], disturbed="others were busy")
    assert disturbance(told, of) == "others were busy"


def test_where_the_cores_were_nearly_always_apart_all_rounds_count():
    of = record(team_seconds=[2e-6, *[4e-6] * 4])
    assert counting([0, 1, 2, 3, 4], of) == {0, 1, 2, 3, 4}


def test_one_thread_and_a_gpu_mind_nothing_of_that():
    of = record(team_seconds=[2.2e-6, 4.1e-6, 2.3e-6])
    assert counting([0, 1, 2], of, team=False) == {0, 1, 2}
    alone = next(m for m in of.measurements if m.case.device == "cpu" and m.case.workload == "step")
    alone = dataclasses.replace(alone, case=dataclasses.replace(alone.case, threads=1), rounds=[0, 1, 2],
                                samples_seconds=[1e-3] * 3)  # fmt: skip
    assert sum(map(len, by_process(alone, of).values())) == 3
    team = dataclasses.replace(alone, case=dataclasses.replace(alone.case, threads=2))
    assert sum(map(len, by_process(team, of).values())) == 2


def test_runs_of_other_machines_have_paces_of_their_own():
    near, far = record(team_seconds=[2e-6, 2e-6]), record(team_seconds=[4e-6, 4e-6])
    assert "4.0 µs, 2.0 at best" in apart_from_each_other([near, far])
    other = dataclasses.replace(far, machine=dataclasses.replace(far.machine, label="another"))
    assert apart_from_each_other([near, other]) is None


def test_older_records_and_single_threads_have_no_such_thing():
    of = record(team_seconds=[None, None], core_seconds=[None, None])
    assert [disturbance(one, of) for one in of.rounds] == [None, None]
    assert core_pace(of) is None


def test_the_pace_of_a_core_is_that_of_the_fastest_quarter():
    assert core_pace(record(core_seconds=[3e-4, 1e-4, 2e-4, 9e-4])) == pytest.approx(1e-4)
