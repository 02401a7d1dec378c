import json

import pytest

from bench.errors import BenchError
from bench.gate import certify
from bench.gate.certify import certificate, kinds, planned, read_gates, slowed
from bench.gate.paired import RULE_VERSION
from tests.gate.test_planted import ROOT
from tests.hostile import markdown_cells


def gate(slowdown: float, noisy: bool, verdict: str, scatter: float = 0.01) -> dict[str, object]:
    ratios = {"screening": [slowdown + scatter, slowdown - scatter] * 4, "confirmation": [], "control": [0.0]}
    return {
        "slowdown_fraction": slowdown, "noisy": noisy, "verdict": verdict, "estimate_fraction": slowdown,
        "seconds": 18.0, "machine": "Some CPU", "rule_version": RULE_VERSION, "commit": None, "log_ratios": ratios,
    }  # fmt: skip


def test_all_gates_are_planned_and_kinds_take_turns():
    everything = list(planned([]))
    assert len(everything) == sum(kind.count for kind in kinds()) == 400
    for kind in kinds():
        assert everything.count((kind.slowdown_fraction, True)) == kind.count / 2
    quarter = everything[:100]
    assert [quarter.count((0.0, noisy)) for noisy in (False, True)] == pytest.approx([25, 25], abs=1)


def test_what_is_done_is_not_run_again():
    done = [gate(0.0, False, "PASS")] * 100 + [gate(0.1, True, "FAIL")] * 10
    left = list(planned(done))
    assert (0.0, False) not in left
    assert left.count((0.1, True)) == 15


def test_a_line_that_was_cut_off_or_is_of_another_rule_is_run_again(tmp_path):
    path = tmp_path / "gates.jsonl"
    whole = json.dumps(gate(0.0, False, "PASS"))
    path.write_text(f"{whole}\n{whole[:40]}")
    assert len(read_gates(path)) == 1
    old = json.dumps(gate(0.0, False, "PASS") | {"rule_version": RULE_VERSION - 1})
    path.write_text(f"{old}\n{whole}\n")
    assert len(read_gates(path)) == 1
    assert read_gates(tmp_path / "none") == []


def test_a_bound_has_gates_of_its_own(tmp_path):
    path = tmp_path / "gates.jsonl"
    of_two = gate(0.02, False, "FAIL") | {"bound_fraction": 0.02}
    path.write_text(f"{json.dumps(gate(0.0, False, 'PASS'))}\n{json.dumps(of_two)}\n")
    assert read_gates(path, 0.02) == [of_two]
    assert len(read_gates(path)) == 1  # one of before is of 5%
    assert [kind.slowdown_fraction for kind in kinds(0.02)] == [0.0, 0.02, 0.04, 0.012]
    assert (0.012, True) in set(planned([], 0.02))
    text = certificate([of_two], 0.02)
    assert text.startswith("# Certificate of the timing gate, for a slowdown of 2%\n")
    assert markdown_cells(text)[1][:5] == ["+2%", "idle", "1", "0", "1"]


def test_every_bound_has_a_file_and_its_own_words():
    assert [certify.certificate_file(bound) for bound in (0.05, 0.025)] == ["README.md", "bound-2.5.md"]
    assert "`fcnn-bench certify --bound 2.5` goes on" in certificate([], 0.025)


POWER = (
    "Pairs of identical code scatter by 1.00%. In gates that draw from these pairs again, unchanged code passes 100% "
    "of the time, and a slowdown fails in 95 of 100 from one of 4.0% on.\n"
)


def test_the_certificate_counts_verdicts_with_intervals():
    gates = [gate(0.0, False, "PASS")] * 19 + [gate(0.0, False, "INCONCLUSIVE")] + [gate(0.05, True, "FAIL")] * 10
    text = certificate(gates)
    assert "30 of 400 gates, on Some CPU, in 0.1 hours." in text
    assert markdown_cells(text)[1:] == [
        ["nothing", "idle", "20", "19", "0", "1", "0.0% to 16.8%", "+0.00%"],
        ["+5%", "busy", "10", "0", "10", "0", "69.2% to 100.0%", "+5.00%"],
    ]
    assert text.endswith(POWER)


def test_a_planted_slowdown_is_in_the_step_and_only_there(tmp_path):
    slow = slowed(ROOT, tmp_path / "slow", 0.05)
    text = (slow / "fcnn" / "train.py").read_text()
    assert "0.05 * (time.perf_counter() - begin)" in text
    assert (slow / "fcnn" / "model.py").read_text() == (ROOT / "fcnn" / "model.py").read_text()


def test_a_step_that_it_does_not_know_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(certify, "START", "no such line")
    with pytest.raises(BenchError, match="does not know where to plant"):
        slowed(ROOT, tmp_path / "slow", 0.05)
