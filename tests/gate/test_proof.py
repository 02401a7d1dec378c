import contextlib
import json
import math

import pytest

from bench.gate import proof
from bench.gate.paired import Pair
from tests.data.images import embedded


def test_ways_take_turns_and_their_scatter_is_told(monkeypatch, tmp_path, capsys):
    asked = []

    def pair(forge, a, b, case, rng, *, one_core):
        asked.append((isinstance(forge, proof.Separate), one_core))
        assert a != b
        return Pair([1.0] * 8, [math.exp(0.01 if one_core else -0.03)] * 8)

    monkeypatch.setattr(proof, "load_images", lambda name, data: embedded())
    monkeypatch.setattr(proof, "forge_with", lambda *_, **__: contextlib.nullcontext("forge"))
    monkeypatch.setattr(proof.paired, "measure_pair", pair)
    output = tmp_path / "pairs.json"
    proof.main(["--pairs", "2", "--output", str(output)])
    assert asked == [(False, True), (False, False), (True, True)] * 2
    found = json.loads(output.read_text())["pairs"]
    assert [one["log_ratio"] for one in found["forked, any core"]] == [pytest.approx(-0.03)] * 2
    out = capsys.readouterr().out
    assert "forked, one core: 1.00%, " in out
    assert "forked, any core: 3.00%, " in out
