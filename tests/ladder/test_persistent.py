"""The kernel that lasts for an epoch, without a GPU: its arithmetic and barriers on the CPU, its machine code.

What no CPU can show is that the GPU keeps the order of memory that the barrier asks for, and how fast it is.
"""

import ctypes
import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.ladder import persistent, rungs
from bench.ladder.persistent import BLOCKS, OPTIONS, SUMS, compiled
from bench.ladder.program import BATCH_SIZE, CPU, flat_images, order, parameters, steps_of
from fcnn import train
from fcnn.data import load_images

HERE = Path(__file__).parent
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="the stand-in for a GPU needs Linux and g++"
)
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton here")
needs_nvrtc = pytest.mark.skipif(
    importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None,
    reason="no cuda.bindings here",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    built = tmp_path_factory.mktemp("persistent") / "persistent.so"
    words = ["g++", "-std=c++17", "-O2", "-w", "-shared", "-fPIC", "-U_FORTIFY_SOURCE", f"-I{persistent.SOURCE.parent}"]
    words += [word for word in OPTIONS if word.startswith("-D")]
    subprocess.run([*words, "-o", built, HERE / "persistent_on_host.cpp"], check=True)
    return ctypes.CDLL(str(built))


@dataclasses.dataclass
class Learned:
    """What the kernel has left."""

    ended: bool
    weights: list
    report: list


def learned(library, images, chosen, *, seed=4, times=1, blocks=BLOCKS, most_polls=10**7):
    """As `persistent.Resident.learn` launches it, `times` over."""
    pixels, labels = flat_images(images)
    flat, weights = rungs.flattened(parameters(seed))
    first, second = torch.zeros_like(flat), torch.zeros_like(flat)
    for time in range(times):
        work = torch.zeros(SUMS + 4)
        powers = [beta ** (time * steps_of(len(chosen))) for beta in (0.9, 0.999)]
        ended = library.train_epoch_on_host(
            *map(persistent._address, (pixels, labels, chosen)), ctypes.c_int(len(chosen)),
            *map(persistent._address, (flat, first, second)), *map(ctypes.c_double, powers),
            *map(persistent._address, (work, work[SUMS:], work[SUMS + 2 :])), ctypes.c_uint(blocks),
            ctypes.c_uint(most_polls),
        )  # fmt: skip
    return Learned(bool(ended), weights, work[-2:].tolist())


@pytest.mark.slow
@needs_compiler
def test_it_reaches_the_weights_and_the_loss_of_the_reference(library, mnist_root):
    """Four whole batches, so that sums are used again, and a smaller one; then again, as a next epoch would."""
    images = load_images("MNIST", mnist_root)
    chosen = order(640, torch.Generator().manual_seed(4))[: 4 * BATCH_SIZE + 24].contiguous()
    found = learned(library, images, chosen, times=2)
    training = train.make_training(CPU, 4)
    pixels, labels = flat_images(images)
    for _ in range(2):
        losses = [train.train_step(training, pixels[part], labels[part]).item() for part in chosen.split(BATCH_SIZE)]
    assert found.ended
    for weight, expected in zip(found.weights, training.model.parameters(), strict=True):
        torch.testing.assert_close(weight, expected.detach(), atol=1e-6, rtol=0)
    assert found.report == [pytest.approx(sum(losses), abs=1e-4), 0]


@pytest.mark.slow
@needs_compiler
def test_blocks_that_wait_in_vain_say_in_which_step_and_leave_the_weights(library, mnist_root):
    images = load_images("MNIST", mnist_root)
    found = learned(library, images, torch.arange(BATCH_SIZE), blocks=BLOCKS + 1, most_polls=5)
    assert found.ended
    assert found.report[1] == 1
    assert all(map(torch.equal, found.weights, parameters(4)))


INTERPRETED = """
import functools
import torch
from bench.ladder import persistent_triton, rungs
from bench.ladder.persistent import Resident
from bench.ladder.program import CPU, order
from fcnn.data import embedded_images

torch.set_num_threads(1)
images = embedded_images("asked for")
images.train.data, images.train.targets = images.train.data[:280], images.train.targets[:280]
reference, training = rungs.index_select(images, 4, CPU), Resident(images, 4, CPU)
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
@pytest.mark.parametrize("capability", [80, 90])
def test_the_one_in_triton_is_machine_code_for_gpus_that_are_not_here(capability, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from bench.ladder import persistent_triton

    types = {
        "labels": "*i64", "order": "*i64", "arrived": "*i32", "count": "i32", "steps_before": "i32",
        "programs": "i32", "most_polls": "i32", "COLUMNS": "constexpr", "CLEARED": "constexpr",
    }  # fmt: skip
    kernel = persistent_triton.learn_epoch
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    constants = {"COLUMNS": persistent_triton.COLUMNS, "CLEARED": 128}
    options = {"num_warps": persistent_triton.WARPS, "launch_cooperative_grid": True}
    target = GPUTarget("cuda", capability, 32)
    made = triton.compile(ASTSource(kernel, signature, constexprs=constants), target=target, options=options)
    assert made.asm["cubin"]
    assert "release" in made.asm["ptx"]
    assert "acquire" in made.asm["ptx"]


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_it_is_machine_code_without_spills(architecture):
    code, said = compiled(architecture, "-Xptxas", "-v")
    assert code.startswith(b"\x7fELF")
    assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", said)


@needs_nvrtc
def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    source = tmp_path / "persistent.cu"
    source.write_text("planted;\n")
    monkeypatch.setattr(persistent, "SOURCE", source)
    with pytest.raises(RuntimeError, match=r"NVRTC failed for sm_80: persistent.cu\(1\): error: "):
        compiled("sm_80")


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
    monkeypatch.setattr(persistent.importlib.util, "find_spec", lambda name: name)
    assert persistent.why_not() == reason
    monkeypatch.setattr(persistent.importlib.util, "find_spec", lambda name: None)
    assert persistent.why_not() == "cuda.bindings is not installed: pip install cuda-bindings"
