"""NVRTC compiles without a GPU; what the driver is then told is seen by one in the place of `cuda.bindings`'."""

import ctypes
import sys
import types

import pytest
import torch

from bench.errors import BenchError
from bench.measure import nvrtc

SOURCE = 'extern "C" __global__ void twice(float *x, int count) { if (threadIdx.x < count) x[threadIdx.x] *= 2; }'
needs_nvrtc = pytest.mark.skipif(nvrtc.why_not() is not None, reason=nvrtc.why_not() or "")


class Error(int):
    name = "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE"


class Driver:
    """Takes 132 blocks at once and keeps what it was told."""

    CUfunction_attribute = types.SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)

    def __init__(self):
        self.told = []

    def cuModuleLoadData(self, code):
        self.told.append(code[:4])
        return Error(0), "module"

    def cuModuleGetFunction(self, module, name):
        return Error(0), (module, name)

    def cuFuncSetAttribute(self, handle, attribute, value):
        self.told.append((attribute, value))
        return (Error(0),)

    def cuLaunchCooperativeKernel(self, handle, *numbers):
        *shape, shared, stream, addresses = numbers
        address, count = (ctypes.c_void_p * 2).from_address(addresses)
        pointed = ctypes.c_void_p.from_address(address).value, ctypes.c_int.from_address(count).value
        self.told.append((handle, shape, shared, stream, pointed))
        return (Error(720 if shape[0] > 132 else 0),)


@pytest.fixture
def driver(monkeypatch):
    made = Driver()
    bindings = pytest.importorskip("cuda.bindings")
    monkeypatch.setattr(bindings, "driver", made, raising=False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: types.SimpleNamespace(cuda_stream=0x77))
    return made


def test_what_is_not_installed_is_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    assert nvrtc.why_not() == "cuda-bindings is not installed: pip install cuda-bindings"


def test_a_library_that_is_not_there_is_the_reason(monkeypatch):
    def missing():
        raise RuntimeError("Failure finding libnvrtc.so")

    bindings = pytest.importorskip("cuda.bindings")
    monkeypatch.setattr(bindings, "nvrtc", types.SimpleNamespace(nvrtcVersion=missing), raising=False)
    assert nvrtc.why_not() == "NVRTC cannot be used: RuntimeError: Failure finding libnvrtc.so"


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_machine_code_is_made_without_a_gpu(arch):
    made = nvrtc.binary(SOURCE, arch, ["--ptxas-options=-v"])
    assert made.code.startswith(b"\x7fELF")
    assert "0 bytes spill stores" in made.log


@needs_nvrtc
def test_what_does_not_compile_is_an_error_with_the_compilers_reason():
    with pytest.raises(BenchError, match=r"for sm_90: kernel.cu\(1\): error: .*undefined") as caught:
        nvrtc.binary("__global__ void k() { missing(); }", "sm_90")
    assert "\n" not in str(caught.value)
    with pytest.raises(BenchError, match="for sm_20: nvrtc: error: invalid value"):
        nvrtc.binary(SOURCE, "sm_20")


@needs_nvrtc
def test_a_kernel_is_compiled_for_the_gpu_that_is_here_and_launched_on_torchs_stream(driver):
    function = nvrtc.compile(SOURCE, "twice", shared_bytes=60_000)
    assert driver.told == [b"\x7fELF", (8, 60_000)]
    numbers = torch.ones(4)
    nvrtc.launch_cooperative(function, 49, 256, [numbers, ctypes.c_int(4)])
    assert driver.told[-1] == (
        ("module", b"twice"), [49, 1, 1, 256, 1, 1], 60_000, 0x77, (numbers.data_ptr(), 4)
    )  # fmt: skip


@needs_nvrtc
def test_more_blocks_than_fit_at_once_are_refused(driver):
    function = nvrtc.compile(SOURCE, "twice")
    with pytest.raises(BenchError, match=r"twice: cuLaunchCooperativeKernel: .*_TOO_LARGE"):
        nvrtc.launch_cooperative(function, 133, 32, [torch.ones(1), ctypes.c_int(1)])
