"""`fcnn-bench compare` as it is printed."""

import dataclasses

import pytest

from bench.cli import main
from bench.record import store
from bench.record.measurement import Flag
from bench.report.words import FLAGS
from tests.analyse.test_compare import moved, run


@pytest.fixture
def kept(tmp_path):
    """Writes records and returns where."""

    def keep(name, records):
        folders = [tmp_path / f"{name}{number}" for number, _ in enumerate(records)]
        for folder, record in zip(folders, records, strict=True):
            folder.mkdir()
            store.write(record, folder)
        return [str(folder) for folder in folders]

    return keep


def test_two_records_are_compared(kept, capsys, snapshot):
    (a,), (b,) = kept("a", [run()]), kept("b", [run(fused=9e-4)])
    assert main(["compare", a, b]) == 0
    assert capsys.readouterr().out == snapshot


def test_a_run_counts_once(kept, tmp_path, capsys):
    (a, again), (b,) = kept("a", [run(), run()]), kept("b", [run(fused=9e-4)])
    assert main(["compare", a, a, "--", b]) == 2
    assert capsys.readouterr().err == f"fcnn-bench: compare: {a} is named twice: a run counts once\n"
    assert main(["compare", a, b, "--", b, again]) == 2
    assert capsys.readouterr().err == f"fcnn-bench: compare: {a} and {again} are the same run: a run counts once\n"


def test_a_flag_that_keeps_a_case_from_being_judged_is_explained_once(kept, capsys):
    crowded = [run(fused=fused, flags=[Flag("crowded", "planted")]) for fused in (9e-4, 8e-4)]
    (a,), (b,) = kept("a", crowded[:1]), kept("b", crowded[1:])
    assert main(["compare", a, b]) == 0
    assert capsys.readouterr().out.count(f"crowded: {FLAGS['crowded']}.") == 1


def test_several_a_side_have_a_verdict_as_a_whole_if_they_took_turns(kept, capsys):
    a, b = kept("a", moved((1, 1.0), (3, 1.1), (5, 1.05))), kept("b", moved((2, 1.5), (4, 1.6), (6, 1.55)))
    assert main(["compare", *a, "--", *b]) == 0
    assert "B takes 1.5× A's time (1.3 to 1.6): B is slower." in capsys.readouterr().out
    later = [dataclasses.replace(record, created_utc="2026-11-21T00:00:00Z") for record in moved((1, 1.5), (2, 1.6))]
    assert main(["compare", *a, "--", *kept("c", later)]) == 0
    assert "the one side's runs all came first, so this may be the machine of another day" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["A", "--"], ["--", "A", "B"], ["A", "--", "B", "--", "A"]])
def test_a_side_without_records_or_a_third_one_is_refused(capsys, words):
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.startswith("fcnn-bench: compare: two records, or A ... -- B ... (see")


@pytest.mark.parametrize("count", [1, 3])
def test_without_a_second_side_there_are_two_records(kept, capsys, count):
    assert main(["compare", *kept("a", [run()] * count)]) == 2
    assert capsys.readouterr().err == (
        "fcnn-bench: compare: two records, or A ... -- B ... (see fcnn-bench compare --help)\n"
    )
