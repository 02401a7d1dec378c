import dataclasses
import json
from pathlib import Path

import pytest

from bench.record import store
from bench.record.before import Earlier, EarlierLadder
from bench.record.measurement import Flag
from bench.suite import history
from bench.suite.history import with_history
from tests.analyse.synthetic import record, step
from tests.data.measurements import case, measured
from tests.data.records import CPU_RECORD

NOW = dataclasses.replace(record(step()), created_utc="2026-06-01T00:00:00Z")


def kept(folder, day: str, seconds: float, flags=(), **changes):
    """A run of that day in the results folder."""
    run = dataclasses.replace(record(step(seconds, flags=[*flags])), created_utc=f"2026-05-{day}T00:00:00Z", **changes)
    store.write(run, folder / run.machine.slug / day)


def earlier(folder):
    return with_history(NOW, folder).measurements[0].earlier


def test_the_first_run_knows_no_other(tmp_path):
    assert earlier(tmp_path) is None
    assert with_history(NOW, tmp_path) == NOW


def test_what_earlier_runs_saw_is_their_number_and_the_ends(tmp_path):
    for day, seconds in (("01", 1e-3), ("02", 3e-3), ("03", 2e-3)):
        kept(tmp_path, day, seconds)
    assert earlier(tmp_path) == Earlier(3, pytest.approx(1e-3), pytest.approx(3e-3))


def test_what_is_flagged_tells_nothing(tmp_path):
    kept(tmp_path, "01", 1e-3)
    for day, name in (("02", "cold"), ("03", "crowded")):
        kept(tmp_path, day, 9e-3, [Flag(name, "planted")])
    assert earlier(tmp_path) == Earlier(1, pytest.approx(1e-3), pytest.approx(1e-3))


def test_other_cases_images_rules_machines_and_later_runs_tell_nothing(tmp_path):
    kept(tmp_path, "01", 1e-3, dataset=dataclasses.replace(CPU_RECORD.dataset, sha256="c" * 64))
    kept(tmp_path, "02", 1e-3, machine=dataclasses.replace(CPU_RECORD.machine, slug="another"))
    later = dataclasses.replace(record(step()), created_utc="2026-07-01T00:00:00Z")
    store.write(later, tmp_path / NOW.machine.slug / "later")
    other = step()
    other = dataclasses.replace(other, case=dataclasses.replace(other.case, threads=1))
    store.write(
        dataclasses.replace(record(other), created_utc="2026-05-03T00:00:00Z"), tmp_path / NOW.machine.slug / "03"
    )
    old = tmp_path / NOW.machine.slug / "04"
    kept(tmp_path, "04", 1e-3)
    file = old / "record.json"
    file.write_text(file.read_text().replace('"timing_rule_version": 2', '"timing_rule_version": 1'))
    assert earlier(tmp_path) is None


def test_what_cannot_be_read_is_passed_over(tmp_path):
    kept(tmp_path, "01", 1e-3)
    torn = tmp_path / NOW.machine.slug / "02"
    torn.mkdir()
    (torn / "record.json").write_text('{"timing_rule_version": 2, "created_utc": "2026-05-02T00:00:00Z", "x')
    assert earlier(tmp_path).runs == 1


def test_only_so_many_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "MOST_RUNS", 2)
    for day, seconds in (("01", 1e-3), ("02", 2e-3), ("03", 3e-3)):
        kept(tmp_path, day, seconds)
    assert earlier(tmp_path) == Earlier(2, pytest.approx(2e-3), pytest.approx(3e-3))


LADDER = Path(__file__).parents[2] / "results/reference/amd-epyc-2c/ladder.json"
TUTORIAL = measured(case("epoch", feed="loader"), 8.0)
OTHERS = [measured(case("epoch", feed="resident"), 1.0), measured(case("epoch", feed="loader", precision="bf16"), 8.0)]


def climbed(folder):
    """By measurement, what it says of the ladder."""
    run = dataclasses.replace(NOW, measurements=[TUTORIAL, *OTHERS])
    return [measurement.earlier_ladder for measurement in with_history(run, folder).measurements]


def keep_ladder(folder, day, changed=lambda ladder: None, **identity):
    """A ladder of that day, of the record's machine, images and torch unless another is named."""
    data = json.loads(LADDER.read_text("utf-8"))
    here = {"machine": NOW.machine.label, "dataset": NOW.dataset.sha256}
    data["identity"] |= here | {"torch": NOW.environment["software"]["torch"]} | identity
    changed(data["ladders"][0])
    run = folder / NOW.machine.slug / day
    run.mkdir(parents=True)
    (run / "ladder.json").write_text(json.dumps(data), "utf-8")


def test_the_tutorials_epoch_knows_what_a_ladder_made_of_it(tmp_path):
    assert climbed(tmp_path) == [None] * 3
    keep_ladder(tmp_path, "01")
    (ladder, *others) = climbed(tmp_path)
    gains = {"decoded once": pytest.approx(6.3, abs=0.05), "by hand": pytest.approx(1.8, abs=0.05)}
    gains["one function in C"] = pytest.approx(3.8, abs=0.05)
    assert ladder == EarlierLadder("one function in C", pytest.approx(87.3, abs=0.05), gains)
    assert others == [None, None]


def test_the_newest_ladder_that_may_be_set_beside_it_counts(tmp_path):
    keep_ladder(tmp_path, "01", lambda ladder: ladder["steps"].pop(-3))
    keep_ladder(tmp_path, "02", lambda ladder: ladder.update(disturbed="another process"))
    keep_ladder(tmp_path, "03", lambda ladder: ladder.update(interrupted=True))
    keep_ladder(tmp_path, "04", lambda ladder: ladder.update(device="cuda"))
    keep_ladder(tmp_path, "05", torch="2.11.0")
    keep_ladder(tmp_path, "06", machine="Another CPU, 2 cores")
    keep_ladder(tmp_path, "07", dataset="c" * 64)
    keep_ladder(tmp_path, "08", lambda ladder: ladder.pop("steps"))
    assert climbed(tmp_path)[0].best == "compiled"
    keep_ladder(tmp_path, "09")
    assert climbed(tmp_path)[0].best == "one function in C"
