import traceback
from types import SimpleNamespace

import pytest
import torch

from bench.profile.compiling import _break, compile_and_watch, kernel_names, stage_seconds

CPU_CODE = """
cpp_fused_relu_0 = async_compile.cpp_pybinding(['float*'], '''
extern "C" void kernel(float* in_out_ptr0) {}
''')
cpp_fused_add_1 = async_compile.cpp_pybinding([], '''...''')
"""


def test_kernels_are_named_once_in_the_codes_order():
    assert kernel_names([CPU_CODE, CPU_CODE]) == ["cpp_fused_relu_0", "cpp_fused_add_1"]
    assert kernel_names([]) == []
    gpu = "triton_poi_fused_relu_0 = async_compile.triton('triton_poi_fused_relu_0', '''...''')\n"
    assert kernel_names([gpu]) == ["triton_poi_fused_relu_0"]


def test_stages_are_summed_over_the_compilations_and_what_is_missing_is_nothing():
    metrics = [
        SimpleNamespace(dynamo_cumulative_compile_time_us=2_000_000, inductor_cumulative_compile_time_us=None),
        SimpleNamespace(dynamo_cumulative_compile_time_us=500_000),
    ]
    assert list(stage_seconds(metrics).values()) == [2.5, 0, 0, 0, 0]


def test_a_break_names_the_users_line():
    stack = [traceback.FrameSummary("/a/outer.py", 1, "outer"), traceback.FrameSummary("/a/model.py", 25, "forward")]
    note = SimpleNamespace(reason="call to print\nmore", user_stack=stack)
    assert _break(note) == "model.py:25 forward: call to print"
    assert _break(SimpleNamespace(reason="why", user_stack=None)) == "why"
    assert _break(SimpleNamespace(reason="\n", user_stack=None)) == "no reason was given"


@pytest.mark.slow
def test_a_break_in_a_model_has_the_users_line_and_a_new_size_its_reason():
    class Broken(torch.nn.Linear):
        def forward(self, images):
            hidden = super().forward(images)
            torch._dynamo.graph_break()
            return hidden.relu()

    model = torch.compile(Broken(3, 2), backend="eager", dynamic=False)
    found = compile_and_watch(lambda: [model(torch.ones(size, 3)) for size in (4, 4, 2)])
    assert found.graphs == 4
    (broke,) = set(found.breaks)
    assert broke.startswith("test_compiling.py:")
    assert " forward: " in broke
    assert any("size" in reason for reason in found.recompiles)
    assert next(iter(found.stage_seconds.values())) > 0
    assert found.kernels == []
