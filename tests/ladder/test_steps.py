"""Ladder steps that are the same arithmetic reach the same weights; those that are not reach the same accuracy."""

import tempfile

import pytest
import torch

from bench.axes.devices import DEVICES
from bench.errors import BenchError
from bench.ladder import child, native, peers, steps
from bench.ladder.child import one_epoch
from bench.ladder.program import CPU, accuracy, flat_images, parameters
from bench.ladder.table import PEERS, STEPS, lines_changed
from bench.workers.images import EMBEDDED
from bench.workers.process import Process
from bench.workers.serve import State
from fcnn.data import load_images
from tests.commands import Command
from tests.ladder.trained import trained, weights_after


@pytest.fixture
def images(mnist_root, monkeypatch):
    # The function that is compiled is the same, and the compiler's front half sees whether it can be one.
    monkeypatch.setattr(steps, "_compiled", lambda mode: torch.compile(steps.pure_step, backend="eager"))
    return load_images("MNIST", mnist_root)


needs_compiler = pytest.mark.skipif(native.why_not() is not None, reason="no C compiler here")
# The same order of images and the same formulas, so the same weights but for rounding; 640 images have no smaller last
# batch, so some are left out.
SAME = [
    steps.fused_adam,
    steps.one_thread,
    steps.by_hand,
    steps.compiled,
    pytest.param(native.one_function, marks=needs_compiler),
]


@pytest.mark.slow
@pytest.mark.parametrize("make", SAME)
@pytest.mark.parametrize("count", [640, 600])
def test_the_same_arithmetic_reaches_the_same_weights(images, make, count):
    images.train.data, images.train.targets = images.train.data[:count], images.train.targets[:count]
    expected, expected_losses = trained(steps.index_select, images)
    found, losses = trained(make, images)
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    assert [weight.shape for weight in found] == [weight.shape for weight in expected]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-3)


WITH_JAX = """
import torch
from bench.ladder import peers, steps
from fcnn.data import embedded_images

images = embedded_images("asked for")
programs = [make(images, 4, torch.device("cpu")) for make in (steps.index_select, peers.jax_scan)]
expected, loss = (program.epoch() for program in programs)
assert abs(loss - expected) < 1e-4
for one, other in zip(*(program.weights() for program in programs), strict=True):
    torch.testing.assert_close(other, one.detach(), atol=2e-4, rtol=2e-3)
"""


@pytest.mark.slow
def test_jax_reaches_the_same_weights(tmp_path):
    """In a process of its own: JAX's threads and the forks of other tests would not go together."""
    if reason := peers.missing("jax", "'.[peers]'")():
        pytest.skip(reason)
    ended = Command(WITH_JAX, folder=tmp_path).end()
    assert ended.code == 0, ended.err


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_threads_reaches_the_same_weights(images, count):
    torch.set_num_threads(1)
    expected = weights_after(native.one_function, images)
    torch.set_num_threads(count)
    for one, other in zip(weights_after(native.one_function, images), expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-3)


@pytest.mark.slow
@needs_compiler
def test_black_pixels_are_left_out_and_all_others_kept(images):
    start, place, value = native._lit_pixels(images)
    pixels = images.train.data.reshape(len(images.train), -1)
    assert start[-1] == (pixels != 0).sum()
    rebuilt = torch.zeros_like(pixels)
    for number in range(len(pixels)):
        at = slice(int(start[number]), int(start[number + 1]))
        rebuilt[number, place[at].long()] = value[at]
    assert torch.equal(rebuilt, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("make", [steps.decoded_once, steps.index_select, peers.scikit_learn])
def test_every_way_learns(images, make):
    weights, losses = trained(make, images, epochs=12)
    assert accuracy(images, weights) > 0.9
    assert losses[-1] < losses[0] / 2
    assert accuracy(images, parameters(4)) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("make", [steps.tutorial, steps.workers, steps.bf16])
def test_the_slower_ways_learn_too(images, make):
    assert accuracy(images, weights_after(make, images, epochs=12)) > 0.9


def test_scikit_learn_begins_with_the_references_weights(images):
    program = peers.scikit_learn(images, 7, CPU)
    for one, other in zip(program.weights(), parameters(7), strict=True):
        torch.testing.assert_close(one, other)


def test_a_missing_peer_says_what_to_install():
    assert peers.missing("no_such_module_at_all", "'.[peers]'")() == (
        "no_such_module_at_all is not installed: pip install '.[peers]'"
    )
    assert peers.missing("torch", "")() is None


def test_the_peers_of_the_ladder_say_what_to_install(monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    assert [peer.why_not() for peer in PEERS] == [
        "sklearn is not installed: pip install scikit-learn",
        "jax is not installed: pip install '.[peers]'",
    ]


def test_a_steps_lines_are_those_that_the_one_before_does_not_have():
    for device, ladder in STEPS.items():
        changed = {row.name: lines_changed(row, device) for row in ladder}
        assert changed.pop("tutorial") is None
        assert all(changed.values())
        assert changed["index_select"] == 1
        assert {lines_changed(peer, device) for peer in PEERS} == {None}
    row = {row.name: lines_changed(row, "cpu") for row in STEPS["cpu"]}
    assert row["one function in C"] > 100  # the C is counted


def test_an_epoch_is_timed_on_a_fresh_training(images):
    made = []

    def make(images, seed, device):
        made.append((seed, device))
        return steps.index_select(images, seed, device)

    found = one_epoch(make, images, 3, DEVICES["cpu"])
    assert made == [(3, CPU)]
    assert 0 < found["seconds"] < found["with_all_seconds"]
    assert found["test_accuracy_fraction"] == accuracy(images, weights_after(steps.index_select, images, 1, 3))


@pytest.mark.slow
def test_a_step_in_a_process_of_its_own_answers_epoch_by_epoch():
    images = {"dataset": EMBEDDED, "data": "", "device": "cpu"}
    with Process() as process:
        assert process.ask("ladder_prepare", 300, **images, step="index_select") is None
        first, again, *others = (process.ask("ladder_epoch", 300, seed=seed) for seed in (0, 0, 1, 2, 3, 4))
    assert first["test_accuracy_fraction"] == again["test_accuracy_fraction"]
    # Of a thousand images, two seeds may well get as many right.
    assert any(other["test_accuracy_fraction"] != first["test_accuracy_fraction"] for other in others)
    state = State()
    child.prepare(state, **images)
    bound = child.bound(state)
    assert bound["seconds"] > 0
    assert bound["bound"] in ("compute", "memory")
    assert bound["unknown"] is None  # a CPU has no launch latency


def test_workers_whose_sockets_have_no_place_are_refused_and_do_not_hang(images, tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 96)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(BenchError, match=f"a socket in {folder}, whose name is too long for one: set TMPDIR"):
        steps.workers(images, 0, CPU)


def test_flat_images_are_what_the_reference_sees(images):
    pixels, labels = flat_images(images)
    assert pixels.shape == (640, 784)
    assert float(pixels.max()) <= 1.0
    assert torch.equal(labels, images.train.targets)
