import dataclasses

import pytest

from bench.analyse.compare import ALONE, OTHERS_BARRED, as_a_whole, compare, mismatch, took_turns
from bench.record.measurement import Flag
from bench.record.model import Dataset, Machine
from tests.analyse.synthetic import epoch, record, steady, step
from tests.data.measurements import case, measured
from tests.data.records import CPU_RECORD

FUSED = "step[cpu-b64-fp32-fused]"


def run(by=1.0, fused=7e-4, **changes):
    """Steps of four batch sizes and one with another optimizer, all but the last so many times as long."""
    times = {1: 0.9e-3 * by, 64: 1e-3 * by, 256: 1.5e-3 * by, 1024: 2e-3 * by}
    others = [measured(case("step", batch=size), one, samples_seconds=steady(one)) for size, one in times.items()]
    other = measured(case("step", optimizer="fused"), fused, samples_seconds=steady(fused))
    return record(*others, dataclasses.replace(other, **changes))


def verdicts(a, b):
    """By id."""
    return {row.id: row.verdict for row in compare(a, b)}


@pytest.mark.parametrize(
    ("fused", "verdict"), [(7e-4, "no clear difference"), (9e-4, "B is slower"), (5e-4, "B is faster")]
)
def test_a_case_is_judged_beside_the_others(fused, verdict):
    *others, row = compare([run()], [run(fused=fused)])
    assert row.ratio.value == pytest.approx(fused / 7e-4, rel=1e-3)
    assert row.verdict == verdict
    assert {other.verdict for other in others} == {"no clear difference"}


def test_beside_one_other_each_is_judged_by_the_ratio_of_the_two():
    a, b = (record(*run(fused=fused).measurements[-2:]) for fused in (7e-4, 9e-4))
    assert [row.ratio.value for row in compare([a], [b])] == pytest.approx([7 / 9, 9 / 7], rel=1e-3)


def test_beside_one_other_it_is_said_that_either_may_have_changed():
    a, b = (record(*run(fused=fused).measurements[-2:]) for fused in (7e-4, 9e-4))
    assert [row.others for row in compare([a], [b])] == [1, 1]
    assert [row.others for row in compare([run()], [run()])] == [4] * 5


def test_where_cases_are_flagged_in_some_runs_the_machine_of_another_day_is_no_difference():
    def flagged(of, *batches):
        return dataclasses.replace(of, measurements=[
            dataclasses.replace(m, flags=[Flag("cold", "no warm-up")]) if m.case.batch_size in batches else m
            for m in of.measurements
        ])  # fmt: skip

    a = [flagged(run(), 64, 256), flagged(run(1.5, 1.5 * 7e-4), 1)]
    assert set(verdicts(a, [run()]).values()) == {"no clear difference"}
    assert set(verdicts([run()], a).values()) == {"no clear difference"}


def test_a_gpus_cases_are_judged_beside_the_cpus():
    def both(by):
        gpu = [step(seconds * by, device="cuda") for seconds in (1e-4, 1e-3)]
        ids = [dataclasses.replace(m, case=dataclasses.replace(m.case, batch_size=size), id=f"step[cuda-b{size}]")
               for m, size in zip(gpu, (64, 1024), strict=True)]  # fmt: skip
        return record(*run().measurements, *ids)

    rows = compare([both(1.0)], [both(1.2)])[-2:]
    assert [row.verdict for row in rows] == ["B is slower", "B is slower"]
    assert [row.ratio.value for row in rows] == pytest.approx([1.2, 1.2], rel=1e-3)
    single, slower = (record(run().measurements[0], *both(by).measurements[-2:]) for by in (1.0, 1.2))
    cpu, *gpu = compare([single], [slower])  # which the GPU's are judged by, and which is judged by none
    assert cpu.verdict == OTHERS_BARRED
    assert [row.verdict for row in gpu] == ["B is slower", "B is slower"]


def test_another_day_of_the_machine_is_no_difference_and_is_said_apart():
    a, b = run(), run(1.8, 1.8 * 7e-4)
    assert set(verdicts([a], [b]).values()) == {"no clear difference"}
    whole = as_a_whole([a], [b])
    assert whole.value == pytest.approx(1.8, rel=1e-3)
    assert whole.low is None


def test_a_case_that_took_turns_with_no_other_is_not_judged():
    a, b = (record(*run().measurements, epoch(seconds)) for seconds in (1.0, 2.0))
    assert verdicts([a], [b])["epoch[cpu-b64-fp32]"] == ALONE


def test_flagged_and_missing_cases_are_shown_and_not_judged():
    flagged = run(fused=9e-4, flags=[Flag("cold", "no warm-up")])
    row = compare([run()], [flagged])[-1]
    assert row.verdict == "flagged in B: cold"
    assert row.flags == ("cold",)
    assert row.b.value == pytest.approx(9e-4, rel=1e-3)
    assert verdicts([run()], [record(*run().measurements[:-1])])[FUSED] == "not in B"


def test_the_same_id_with_other_threads_is_not_judged():
    other = run(case=dataclasses.replace(case("step", optimizer="fused"), threads=1))
    assert verdicts([run()], [other])[FUSED] == "the cases differ in their threads"


def paced(team, of):
    """A run whose rounds all had that pace."""
    rounds = [dataclasses.replace(one, beside=dataclasses.replace(one.beside, team_seconds=team)) for one in of.rounds]
    return dataclasses.replace(of, rounds=rounds)


def test_what_threads_computed_while_the_cores_lay_apart_in_one_of_the_runs_is_not_judged():
    apart = "in a run the host had the cores apart: handing work over took 4.5 µs, 2.5 at best"
    assert set(verdicts([paced(2.5e-6, run())], [paced(4.5e-6, run())]).values()) == {apart}
    assert apart not in verdicts([paced(2.5e-6, run())], [paced(2.8e-6, run())]).values()
    assert apart not in verdicts([paced(2.5e-6, run())], [run()]).values()  # an older one does not tell


def test_other_images_or_other_timing_rules_are_refused():
    other = dataclasses.replace(CPU_RECORD, dataset=Dataset("MNIST-5k", "5,000 images", "1" * 64, 4000, 1000))
    assert mismatch(CPU_RECORD, CPU_RECORD) is None
    assert mismatch(CPU_RECORD, other).startswith("they differ in dataset.sha256: MNIST (60,000")
    old = dataclasses.replace(CPU_RECORD, timing_rule_version=1)
    with pytest.raises(ValueError, match="timing_rule_version"):
        compare([CPU_RECORD], [old])
    with pytest.raises(ValueError, match="they are of timing rules 1"):
        compare([old], [old])


@pytest.mark.parametrize("setting", ["flush_denormal", "deterministic_algorithms", "cudnn_benchmark"])
def test_records_of_other_settings_are_refused(setting):
    on, off = (
        dataclasses.replace(CPU_RECORD, environment={**CPU_RECORD.environment, "settings": {setting: value}})
        for value in (True, False)
    )
    assert mismatch(on, on) is None
    assert mismatch(on, off) == f"they differ in environment.settings.{setting}: True against False"


def moved(*times):
    """Runs of one program, each on another day of the machine: an hour apart, all cases so many times as long."""
    return [dataclasses.replace(run(by, 7e-4 * by), created_utc=f"2026-11-20T{hour:02d}:00:00Z") for hour, by in times]


def test_several_runs_a_side_tell_the_machine_from_the_program():
    a, b = moved((1, 1.0), (3, 1.1), (5, 1.05)), moved((2, 1.06), (4, 1.0), (6, 1.09))
    assert took_turns(a, b)
    whole = as_a_whole(a, b)
    assert not whole.clear
    assert whole.low < 1.0 < whole.high
    slower = as_a_whole(a, moved((2, 1.5), (4, 1.6), (6, 1.55)))
    assert slower.clear
    assert slower.value == pytest.approx(1.55 / 1.05, rel=0.01)
    assert set(verdicts(a, b).values()) == {"no clear difference"}


def test_runs_that_did_not_take_turns_are_told_from_such_that_did():
    assert not took_turns(moved((1, 1.0), (2, 1.0)), moved((3, 1.0), (4, 1.0)))
    assert took_turns(moved((1, 1.0), (4, 1.0)), moved((2, 1.0), (3, 1.0)))


def test_a_flagged_run_of_several_is_left_out():
    flagged = run(fused=9e-4, flags=[Flag("cold", "no warm-up")])
    row = compare([run(), run()], [flagged, run()])[-1]
    assert row.verdict == "no clear difference"
    assert row.ratio.value == pytest.approx(1.0, rel=1e-3)


def test_a_side_is_of_one_machine():
    elsewhere = dataclasses.replace(run(), machine=Machine("other-8c", "Other, 8 cores"))
    compare([run()], [elsewhere])
    with pytest.raises(ValueError, match=r"a side has runs of several machines: Other, 8 cores and Some CPU"):
        compare([run(), elsewhere], [run()])
