"""One real compilation, cold, and all that is said of it; the other tests do with the compiler's front half."""

import dataclasses

import pytest
import torch

from bench.axes.case import case_id
from bench.profile.compiling import compile_and_watch
from bench.suite import workloads
from bench.suite.cold import compiler_cache
from bench.suite.expected import Effort
from bench.suite.session import Session
from tests.axes.test_case import changed
from tests.data.images import embedded

pytestmark = pytest.mark.slow
CASE = changed(compiler="default", threads=1)
EAGER = dataclasses.replace(CASE, compiler="off")


def measured(case):
    session = Session(embedded(), "MNIST", {case_id(case): case}, Effort(step_seconds=0.02))
    (id,) = session.planned
    if reason := session.impossible(id):
        pytest.skip(reason)
    return session.run(id)


@pytest.fixture(scope="module")
def compiled():
    return measured(CASE)


def test_it_starts_cold_and_tells_its_compile_time(compiled):
    assert compiled.compilation.cold_seconds > 10 * max(compiled.samples_seconds)
    # A process that is warm already and finds the compiler's cache pays less: that is why a fresh one was asked.
    assert compiled.first_call_seconds < compiled.compilation.cold_seconds
    assert compiled.compilation.graphs == 1
    assert compiled.compilation.graph_break_reasons == compiled.compilation.recompile_reasons == []


def test_it_computes_the_same_in_fewer_calls(compiled):
    counters, plain = compiled.counters, measured(EAGER).counters
    assert counters.flops == plain.flops
    assert (counters.parameter_bytes, counters.gradient_bytes) == (plain.parameter_bytes, plain.gradient_bytes)
    assert counters.growth_bytes == 0
    assert sum(n for name, n in counters.aten_calls.items() if name.startswith("Torch-Compiled Region")) == 1
    # The matrix products are still ATen's, the rest of the model is not.
    assert (counters.aten_calls["aten::addmm"], counters.aten_calls["aten::mm"]) == (2, 3)
    assert not {"aten::relu", "aten::t", "aten::linear"} & counters.aten_calls.keys()


def test_its_kernels_and_stages_have_names_and_its_scores_are_the_models(compiled, tmp_path_factory):
    with compiler_cache(tmp_path_factory.mktemp("cache")):
        training = workloads.make_training(CASE)
        images = torch.rand(64, 784)
        found = compile_and_watch(lambda: training.model(images).sum().backward())
        scores = training.model(images)
    assert (found.graphs, found.breaks) == (1, [])
    assert any(name.startswith("cpp_fused") for name in found.kernels)
    assert all(seconds > 0 for seconds in found.stage_seconds.values())
    torch.testing.assert_close(scores, workloads.make_training(EAGER).model(images), atol=1e-5, rtol=1e-5)
