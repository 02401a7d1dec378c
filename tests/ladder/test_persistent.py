"""The kernel that lasts for an epoch, without a GPU: its arithmetic and barriers on the CPU, its machine code.

What no CPU can show is that the GPU keeps the order of memory that the barrier asks for, and how fast it is.
"""

import ctypes
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.ladder import persistent
from bench.ladder.persistent import BLOCKS, OPTIONS, SOURCE, Resident
from bench.ladder.program import BATCH_SIZE, CPU, order, parameters
from bench.measure import nvrtc
from fcnn import train
from fcnn.data import load_images
from tests.ladder.machine_code import bytes_in_memory, compiled

HERE = Path(__file__).parent
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="the stand-in for a GPU needs Linux and g++"
)
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton here")
needs_nvrtc = pytest.mark.skipif(nvrtc.why_not() is not None, reason=str(nvrtc.why_not()))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    built = tmp_path_factory.mktemp("persistent") / "persistent.so"
    words = ["g++", "-std=c++17", "-O2", "-w", "-shared", "-fPIC", "-U_FORTIFY_SOURCE", f"-I{persistent.SOURCE.parent}"]
    words += [word for word in OPTIONS if word.startswith("-D")]
    subprocess.run([*words, "-o", built, HERE / "persistent_on_host.cpp"], check=True)
    return ctypes.CDLL(str(built))


@pytest.fixture
def launched(library, monkeypatch):
    """How launches on the stand-in ended: what the driver would be given is given to that."""
    ended = []

    def launch(function, grid, block, arguments):
        assert (function, grid, block) == ("kernel", BLOCKS, persistent.THREADS)
        values = [ctypes.c_void_p(one.data_ptr()) if torch.is_tensor(one) else one for one in arguments]
        ended.append(bool(library.train_epoch_on_host(*values)))

    monkeypatch.setattr(nvrtc, "launch_cooperative", launch)
    monkeypatch.setattr(persistent, "_kernel", lambda index: "kernel")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    return ended


@pytest.mark.slow
@needs_compiler
def test_it_reaches_the_weights_and_the_loss_of_the_reference(launched, mnist_root):
    """Four whole batches, so that sums are used again, and a smaller one; then some more, as a next epoch would."""
    images = load_images("MNIST", mnist_root)
    chosen = order(640, torch.Generator().manual_seed(4))[: 4 * BATCH_SIZE + 24].contiguous()
    learner, training = Resident(images, 4, CPU), train.make_training(CPU, 4)
    for some in (chosen, chosen[-BATCH_SIZE - 24 :]):
        parts = some.split(BATCH_SIZE)
        losses = [train.train_step(training, learner.pixels[part], learner.labels[part]).item() for part in parts]
        assert learner.learn(some, persistent.queue) == pytest.approx(sum(losses) / len(losses), abs=2e-5)
    assert launched == [True, True]
    for weight, expected in zip(learner.weights, training.model.parameters(), strict=True):
        torch.testing.assert_close(weight, expected.detach(), atol=1e-6, rtol=0)


@pytest.mark.slow
@needs_compiler
def test_blocks_that_wait_in_vain_say_in_which_step_and_leave_the_weights(launched, mnist_root):
    learner = Resident(load_images("MNIST", mnist_root), 4, CPU)
    queue = functools.partial(persistent.queue, blocks=BLOCKS + 1, most_polls=5)
    with pytest.raises(RuntimeError, match="the kernel's blocks did not meet in step 1 of 1"):
        learner.learn(torch.arange(BATCH_SIZE), queue)
    assert launched == [True]
    assert all(map(torch.equal, learner.weights, parameters(4)))


INTERPRETED = """
import functools
import torch
from bench.ladder import persistent_triton, steps
from bench.ladder.persistent import Resident
from bench.ladder.program import CPU, order
from fcnn.data import embedded_images

torch.set_num_threads(1)
images = embedded_images("asked for")
images.train.data, images.train.targets = images.train.data[:280], images.train.targets[:280]
reference, training = steps.index_select(images, 4, CPU), Resident(images, 4, CPU)
generator = torch.Generator().manual_seed(4)
for _ in range(2):
    loss = training.learn(order(280, generator), functools.partial(persistent_triton.queue, columns=1024))
    assert abs(loss - reference.epoch()) < 1e-4
for one, other in zip(training.weights, reference.weights(), strict=True):
    torch.testing.assert_close(one, other.detach(), atol=2e-4, rtol=0)
"""


@needs_triton
@pytest.mark.slow
def test_the_one_in_triton_reaches_the_weights_and_the_loss_of_the_reference():
    """As one program: the interpreter would run one after the other, and none could wait for another."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    ran = subprocess.run([sys.executable, "-c", INTERPRETED], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "most_bytes"),
    # On 10.0 two indices of where the state lies wait in memory from before the steps until after them.
    [(80, 0), (90, 0), (100, 8)],
)
def test_the_one_in_triton_is_machine_code_without_spills(capability, most_bytes, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from bench.ladder import persistent_triton

    types = {
        "labels": "*i64", "order": "*i64", "arrived": "*i32", "count": "i32", "steps_before": "i32",
        "programs": "i32", "most_polls": "i32", "COLUMNS": "constexpr", "CLEARED": "constexpr",
    }  # fmt: skip
    constants = {"COLUMNS": persistent_triton.COLUMNS, "CLEARED": 128}
    options = {"num_warps": persistent_triton.WARPS, "launch_cooperative_grid": True}
    made = compiled(persistent_triton.learn_epoch, types, constants, capability, options, unaligned=["report"])
    assert "release" in made.asm["ptx"]
    assert "acquire" in made.asm["ptx"]
    assert bytes_in_memory(made.asm["cubin"], tmp_path) <= most_bytes


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_it_is_machine_code_without_spills(architecture):
    made = nvrtc.binary(SOURCE.read_text("utf-8"), architecture, [*OPTIONS, "-Xptxas", "-v"])
    assert made.code.startswith(b"\x7fELF")
    assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", made.log)


@pytest.mark.parametrize(
    ("major", "count", "reason"),
    [
        (9, 132, None),
        (7, 80, "its barrier needs compute capability 8.0, this GPU has 7.5"),
        (8, 46, "its 49 blocks need a multiprocessor each, this GPU has 46"),
    ],
)
def test_a_gpu_that_cannot_run_it_is_told(monkeypatch, major, count, reason):
    class Gpu:
        minor, multi_processor_count = 5, count

    Gpu.major = major
    monkeypatch.setattr(torch.cuda, "get_device_properties", Gpu)
    monkeypatch.setattr(nvrtc, "why_not", lambda: None)
    assert persistent.why_not() == reason
    monkeypatch.setattr(nvrtc, "why_not", lambda: "no compiler")
    assert persistent.why_not() == "no compiler"
