import itertools
import json

import pytest

from bench.measure.sampling import Rule, measure
from bench.suite import proof
from tests.measure.simulated import SimulatedTime


@pytest.mark.slow
def test_the_bias_is_the_estimate_less_the_known_delay(monkeypatch, capsys):
    """A step that is always 1 ms by a clock that can add is estimated without any bias, whatever is added."""
    time = SimulatedTime()
    step = type("Prepared", (), {"repeat": staticmethod(time.repeat_taking(itertools.repeat(1e-3)))})
    monkeypatch.setattr(proof.time, "perf_counter", time.now)
    monkeypatch.setattr(proof, "images", lambda *_: None)
    monkeypatch.setattr(proof.workloads, "step", lambda *_: step)
    monkeypatch.setattr(proof, "DELAYS", (0.0, 0.1))
    monkeypatch.setattr(proof, "measure", lambda repeat, clock=time.clock(), rule=Rule(): measure(repeat, clock, rule))
    found = proof.bias(4)["delays"]
    assert [found[delay]["bias_points"] for delay in ("0", "0.1")] == pytest.approx([0, 0], abs=1e-6)
    assert found["0.1"]["delayed"] == pytest.approx([1.1e-3, 1.1e-3])
    assert "bias at +10%: " in capsys.readouterr().out


def test_proofs_by_name_go_to_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(proof, "overhead", lambda: {"fraction": 0.0001})
    proof.main(["overhead", "--output", str(tmp_path / "proof.json")])
    assert json.loads((tmp_path / "proof.json").read_text())["overhead"] == {"fraction": 0.0001}


def test_a_proof_that_does_not_exist_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit:
        proof.main(["nonsense"])
    assert exit.value.code == 2
    assert "there is no proof called nonsense" in capsys.readouterr().err
