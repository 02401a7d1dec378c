import contextlib

import pytest
import torch

from bench.measure.compilation import Compiled, compilations, graphs_compiled


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, **options):
    return torch.compile(function, backend="eager", **options)


def test_where_nothing_is_compiled_there_is_nothing_to_tell():
    with compilations() as found:
        torch.ones(3) + 1
    assert found == Compiled(0, [], [], [])


def test_each_graph_is_counted_once_and_only_inside():
    compiled(lambda x: x - 1)(torch.ones(3))
    before = graphs_compiled()
    double = compiled(lambda x: 2 * x)
    with compilations() as found:
        double(torch.ones(3))
        double(torch.ones(3))
    compiled(lambda x: x / 3)(torch.ones(3))
    assert (found.graphs, found.graph_break_reasons, found.recompile_reasons) == (1, [], [])
    assert graphs_compiled() - before == 2


def test_a_graph_break_is_two_graphs_and_has_a_reason():
    def broken(x):
        x = x + 1
        torch._dynamo.graph_break()
        return 2 * x

    with compilations() as found:
        compiled(broken)(torch.ones(3))
    assert found.graphs == 2
    (reason,) = found.graph_break_reasons
    assert "graph_break" in reason
    assert "\n" not in reason
    with compilations() as later:
        compiled(lambda x: x * 5)(torch.ones(3))
    assert later.graph_break_reasons == []  # the break belongs to the one before


def test_printing_in_a_model_breaks_its_graph():
    class Talking(torch.nn.Linear):
        def forward(self, x):
            print("forward")
            return super().forward(x)

    with compilations() as found:
        compiled(Talking(3, 2))(torch.ones(1, 3))
    assert len(found.graph_break_reasons) >= 1


def test_another_batch_size_is_compiled_again_and_has_a_reason():
    double = compiled(lambda x: 2 * x, dynamic=False)
    with compilations() as found:
        for size in (8, 8, 3):
            double(torch.ones(size, 2))
    assert found.graphs == 2
    (reason,) = found.recompile_reasons
    assert "size" in reason
    assert "8" in reason
    assert "3" in reason


def test_refused_cuda_graphs_are_told_with_their_reason(monkeypatch):
    # No GPU here can refuse them: what torch notes of a compilation is made up.
    from torch._dynamo import utils

    class Metrics:
        recompile_reason = None
        cudagraph_skip_reason = "skipping cudagraphs due to mutated inputs\n  File ..."

    monkeypatch.setattr(utils, "get_compilation_metrics", lambda: [Metrics()])
    with compilations() as found:
        pass
    assert found.cuda_graph_skip_reasons == ["skipping cudagraphs due to mutated inputs"]


def test_what_was_seen_until_an_error_is_kept():
    with contextlib.suppress(RuntimeError), compilations() as found:
        compiled(lambda x: x * 7)(torch.ones(3))
        raise RuntimeError("out of memory")
    assert found == Compiled(1, [], [], [])
