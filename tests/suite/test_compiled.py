"""One real compilation, cold, and all that is said of it; the other tests do with the compiler's front half."""

import dataclasses

import pytest
import torch

from bench.profile.compiling import compile_and_watch
from bench.workers import workloads
from bench.workers.cold import use_cache
from tests.axes.test_case import changed
from tests.data.images import embedded
from tests.suite.local import QUICK, run

CASE = changed(compiler="default", threads=1)
EAGER = dataclasses.replace(CASE, compiler="off")


def measured(case, folder, effort=QUICK):
    folder.mkdir()
    record = run(embedded(), folder, case, effort=effort).measure()
    for gap in record.unmeasured:
        if gap.kind == "impossible":
            pytest.skip(gap.reason)
    return record.measurements[0]


@pytest.mark.slow
@pytest.mark.usefixtures("measured_once")
def test_a_compiled_case_from_cold(tmp_path, monkeypatch):
    compiled = measured(CASE, tmp_path / "compiled", dataclasses.replace(QUICK, thorough=True))  # which counts growth
    plain = measured(EAGER, tmp_path / "plain")

    assert compiled.compilation.cold_seconds > 0  # of a fresh process
    assert compiled.compilation.graphs == 1
    assert compiled.compilation.graph_break_reasons == compiled.compilation.recompile_reasons == []

    calls = compiled.counters.aten_calls
    assert compiled.counters.flops == plain.counters.flops
    assert compiled.counters.gradient_bytes == plain.counters.gradient_bytes
    assert compiled.counters.growth_bytes == 0
    assert sum(count for name, count in calls.items() if name.startswith("Torch-Compiled Region")) == 1
    # The matrix products are still ATen's, the rest of the model is not.
    assert (calls["aten::addmm"], calls["aten::mm"]) == (2, 3)
    assert not {"aten::relu", "aten::t", "aten::linear"} & calls.keys()

    assert compiled.recompilations == 0
    # Beside a step with nothing to do, compiled after it, which is none of its recompilations.
    assert compiled.breakdown.step_seconds > 0 < compiled.breakdown.empty_step_seconds
    assert all(compiled.breakdown.work_seconds[kind] > 0 for kind in ("product", "other", "rest"))

    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    use_cache(str(tmp_path / "cache"))
    training = workloads.make_training(CASE)
    images = torch.rand(64, 784)
    found = compile_and_watch(lambda: training.model(images).sum().backward())
    scores = training.model(images)
    assert (found.graphs, found.breaks) == (1, [])
    assert any(name.startswith("cpp_fused") for name in found.kernels)
    assert all(seconds > 0 for seconds in found.stage_seconds.values())
    torch.testing.assert_close(scores, workloads.make_training(EAGER).model(images), atol=1e-5, rtol=1e-5)
