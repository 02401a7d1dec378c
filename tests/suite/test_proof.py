import dataclasses
import json
from types import SimpleNamespace

import pytest

from bench.record import store
from bench.suite import proof, reruns
from bench.suite.proof import DELAYS, PLAIN, errors_of
from tests.analyse.synthetic import record, step
from tests.data.measurements import case, measured, samples


def alike(slower: float = 0.0):
    """A record of cases that all do the same, the delayed ones slower by so much besides."""
    found = [measured(case(), 1e-3, samples_seconds=samples("x", 1e-3))]
    found += [measured(case(), 1e-3, samples_seconds=samples("x", 1e-3 * (1 + slower))) for _ in DELAYS]
    ids = [PLAIN, *(f"{delay:g}" for delay in DELAYS)]
    return record(*(dataclasses.replace(m, id=id) for id, m in zip(ids, found, strict=True)))


def test_the_bias_is_the_estimate_less_the_known_delay():
    assert errors_of(alike()) == pytest.approx(dict.fromkeys(DELAYS, 0.0), abs=1e-3)
    assert errors_of(alike(0.01)) == pytest.approx(dict.fromkeys(DELAYS, 1.0), abs=0.2)


def runs(*slower: float):
    """Records of runs whose fused step is so much slower than usual, each with its own noise."""
    found = []
    for number, more in enumerate(slower):
        fused = measured(
            case(optimizer="fused"), 1.0, samples_seconds=samples(f"fused {number}", 7e-4 * (1 + more), spread=0.01)
        )
        plain = step(samples_seconds=samples(f"plain {number}", 1e-3, spread=0.01))
        found.append(dataclasses.replace(record(plain, fused), created_utc=f"2026-01-0{number + 1}T00:00:00Z"))
    return found


def test_runs_of_the_same_program_agree_and_scatter_little():
    found = reruns.judge(runs(0.0, 0.0, 0.0, 0.0))
    assert (found["runs"], found["judged_fraction"], found["different_fraction"]) == (4, 1.0, 0.0)
    assert (found["outside_fraction"], found["outside_any_fraction"]) == (0.0, 0.0)
    assert 0 < found["moved_scatter_fraction"] < 0.01
    assert found["barred_cells"] == 0
    assert 0 <= found["scatter_worst_fraction"] < 0.01
    assert found["ratio"] == {"step[cpu-b64-fp32-fused]": pytest.approx(0.7, rel=0.01)}


def test_a_run_that_contradicts_the_others_is_counted():
    found = reruns.judge(runs(0.0, 0.0, 0.0, 0.2))
    assert found["different_fraction"] == found["outside_fraction"] == pytest.approx(0.5)  # three of six pairs
    assert found["scatter_worst_fraction"] > 0.05


def test_what_is_barred_is_counted():
    some = runs(0.0, 0.0)
    flagged = [dataclasses.replace(m, recompilations=1) for m in some[1].measurements]
    found = reruns.judge([some[0], dataclasses.replace(some[1], measurements=flagged)])
    assert (found["judged_fraction"], found["barred_cells"]) == (0.0, 1.0)
    nothing = reruns.judge([dataclasses.replace(one, measurements=flagged) for one in some])
    json.dumps(nothing, allow_nan=False)  # it can be written, whatever it holds
    assert (nothing["scatter_median_fraction"], nothing["scatter_worst_fraction"]) == (None, None)


def test_a_run_of_one_process_states_no_interval_and_the_others_count():
    some = runs(0.0, 0.0)
    alone = [dataclasses.replace(one, rounds=[dataclasses.replace(r, process=0) for r in one.rounds]) for one in some]
    found = reruns.judge([alone[0], some[1]])
    assert 0 < found["reach_fraction"]["step[cpu-b64-fp32-fused]"] < 0.1
    found = reruns.judge(alone)
    assert found["reach_fraction"] == {"step[cpu-b64-fp32-fused]": None}
    json.dumps(found, allow_nan=False)


def test_where_the_base_is_barred_in_one_run_the_others_have_it_all_the_same():
    some = [
        dataclasses.replace(
            one,
            measurements=[
                *one.measurements,
                measured(case(batch=256), 2e-3, samples_seconds=samples(f"larger {number}", 2e-3, spread=0.01)),
            ],
        )
        for number, one in enumerate(runs(0.0, 0.0, 0.0))
    ]
    barred = [dataclasses.replace(some[0].measurements[0], recompilations=1), *some[0].measurements[1:]]
    found = reruns.judge([dataclasses.replace(some[0], measurements=barred), *some[1:]])
    assert (found["outside_fraction"], found["outside_any_fraction"]) == (0.0, 0.0)
    assert found["ratio"] == {
        "step[cpu-b64-fp32-fused]": pytest.approx(0.7, rel=0.01),
        "step[cpu-b256-fp32]": pytest.approx(2.0, rel=0.01),
    }


def test_runs_that_are_there_count_and_the_others_are_made(monkeypatch, tmp_path, capsys):
    made = runs(0.0, 0.0, 0.0)

    def run(folder, words):
        count = len(list(folder.glob("*/*/record.json")))
        store.write(made[count], folder / "machine" / str(count))
        assert words == ["run", "--batch", "64"]

    monkeypatch.setattr(reruns, "_run", run)
    words = ["reruns", "--runs", "2", "--records", str(tmp_path / "r"), "--output", str(tmp_path / "proof.json")]
    assert proof.main([*words, "--", "run", "--batch", "64"]) == 0
    assert json.loads((tmp_path / "proof.json").read_text())["reruns"]["runs"] == 2
    words[2] = "3"
    assert proof.main([*words, "--", "run", "--batch", "64"]) == 0
    assert "reruns: 3 of 3" in capsys.readouterr().out


def test_a_run_that_fails_is_its_reason(monkeypatch, tmp_path):
    ended = SimpleNamespace(returncode=3, stderr="fcnn-bench: the disk is full")
    monkeypatch.setattr(reruns.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(reruns.BenchError, match="a run ended with exit code 3: fcnn-bench: the disk is full"):
        reruns._run(tmp_path, [])


def test_proofs_go_to_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(proof, "overhead", lambda: {"fraction": 0.0001})
    proof.main(["overhead", "--output", str(tmp_path / "proof.json")])
    assert json.loads((tmp_path / "proof.json").read_text()) == {"overhead": {"fraction": 0.0001}}


def test_a_proof_that_does_not_exist_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit:
        proof.main(["nonsense"])
    assert exit.value.code == 2
    assert "invalid choice: 'nonsense'" in capsys.readouterr().err
