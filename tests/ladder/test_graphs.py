"""The steps of a GPU, on the CPU: a recorder stands for the CUDA graph, Triton's interpreter for its compiler.

What no CPU can show is that the driver takes the recording and the GPU the kernels.
"""

import collections
import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.ladder import graphs, steps
from bench.ladder.program import CPU, accuracy
from fcnn.data import load_images
from tests.ladder.machine_code import bytes_in_memory, compiled
from tests.ladder.trained import trained, weights_after


class Recorder(TorchDispatchMode):
    """Keeps every operator with its tensors, and replays all in the same memory, as a CUDA graph does.

    Python does not run again, so a number that it has read or counted is what it was; reading one from the device is
    refused, as it is while a graph is recorded.
    """

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, out in self.calls:
            for old, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def recorded(run, warm):
    warm()
    with Recorder() as recorder:
        run()
    return recorder.replay


@pytest.fixture
def images(mnist_root, monkeypatch):
    monkeypatch.setattr(graphs, "capture", recorded)
    # What the compiler makes of it is not made of operators; the function is the same.
    monkeypatch.setattr(steps, "_compiled", lambda mode: steps.pure_step)
    return load_images("MNIST", mnist_root)


SAME = [
    steps.resident,
    graphs.graph_a_step,
    graphs.graph_an_epoch,
    graphs.by_hand_in_a_graph,
    graphs.compiled_in_a_graph,
]


def test_the_fastest_kernels_are_not_looked_for_for_the_last_batch_alone(images, monkeypatch):
    """One step in 938, for which the search would take as long as for all others."""
    sizes = collections.defaultdict(set)

    def compiled(mode):
        def function(*arguments):
            sizes[mode].add(len(arguments[-2]))
            steps.pure_step(*arguments)

        return function

    monkeypatch.setattr(steps, "_compiled", compiled)
    images.train.data, images.train.targets = images.train.data[:200], images.train.targets[:200]
    graphs.compiled_in_a_graph(images, 0, torch.device("cpu"))
    assert sizes == {graphs.MODE: {64}, "default": {8}}


@pytest.mark.slow
@pytest.mark.parametrize("make", SAME)
@pytest.mark.parametrize("count", [640, 600])
def test_a_replayed_epoch_reaches_the_same_weights(images, make, count):
    """Recording changes nothing, every replay takes new images, and the last, smaller batch is one of them."""
    images.train.data, images.train.targets = images.train.data[:count], images.train.targets[:count]
    (expected, expected_losses), (found, losses) = trained(steps.index_select, images), trained(make, images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-3)
    assert losses == pytest.approx(expected_losses, rel=1e-4)


@pytest.mark.parametrize("make", SAME)
def test_before_its_first_epoch_it_is_as_the_reference_begins(images, make):
    begin = weights_after(steps.index_select, images, epochs=0)
    for one, other in zip(weights_after(make, images, epochs=0), begin, strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_products_in_bfloat16_learn_as_well(images):
    assert accuracy(images, weights_after(graphs.bf16_in_a_graph, images, epochs=12)) > 0.9


def test_a_graph_is_replayed_without_python(images, monkeypatch):
    program = graphs.graph_an_epoch(images, 4, CPU)
    monkeypatch.setattr(graphs.train, "train_step", None)
    before = [weight.detach().clone() for weight in program.weights()]
    program.epoch()
    assert not any(torch.equal(one, other) for one, other in zip(program.weights(), before, strict=True))


def test_the_stand_in_refuses_what_a_recording_refuses():
    with Recorder(), pytest.raises(RuntimeError, match="not permitted"):
        torch.ones(()).item()


INTERPRETED = """
import torch
from bench.ladder import graphs, steps
from fcnn.data import embedded_images

graphs.capture = lambda run, warm: (warm(), run)[1]
torch.set_num_threads(1)
images = embedded_images("asked for")
images.train.data, images.train.targets = images.train.data[:88], images.train.targets[:88]
programs = [make(images, 4, torch.device("cpu")) for make in (steps.index_select, graphs.two_kernels)]
expected, loss = (program.epoch() for program in programs)  # a whole batch, and a smaller last one
assert abs(loss - expected) < 1e-4
for one, other in zip(*(program.weights() for program in programs), strict=True):
    torch.testing.assert_close(other, one.detach(), atol=2e-4, rtol=2e-3)
"""
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton here")


@needs_triton
@pytest.mark.slow
def test_the_two_kernels_reach_the_same_weights():
    words = [sys.executable, "-c", INTERPRETED]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    ran = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(("capability", "early"), [(80, False), (90, True), (100, True)])
def test_the_two_kernels_are_machine_code_without_spills(capability, early, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from bench.ladder import kernels

    types = {"labels": "*i64", "chosen": "*i64", "count": "i32", "early": "constexpr"}
    options = {"num_warps": kernels.WARPS, "launch_pdl": early}
    for kernel in (kernels.begin, kernels.learn):
        made = compiled(kernel, types, {"early": early}, capability, options)
        assert bytes_in_memory(made.asm["cubin"], tmp_path) == 0
        assert f".target sm_{capability}" in made.asm["ptx"]
        assert made.asm["ptx"].count("griddepcontrol") == 2 * early
