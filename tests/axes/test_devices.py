"""Whether a device is here, and whether it works."""

import pytest
import torch

from bench.axes import devices
from bench.axes.case import why_impossible
from bench.axes.devices import DEVICES, try_out, why_unusable
from bench.measure import facts
from tests.axes.test_case import changed
from tests.measure.simulated import SimulatedTime


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    monkeypatch.setattr(devices, "_UNUSABLE", {})


def test_a_device_that_computes_is_usable(monkeypatch):
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda"))  # torch computes on the CPU for it
    assert try_out("cuda") is None
    assert why_unusable("cuda") is None


@pytest.mark.parametrize("error", [RuntimeError, torch.cuda.DeferredCudaCallError])
def test_a_device_that_is_here_and_fails_is_impossible_with_the_first_line_of_its_error(monkeypatch, error):
    def fail(*shape, device):
        raise error("CUDA error: no kernel image is available for execution on the device\nCompile with ...")

    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda"))
    monkeypatch.setattr(torch, "ones", fail)
    reason = "it is here and does not work: CUDA error: no kernel image is available for execution on the device"
    assert try_out("cuda") == reason
    assert why_impossible(changed(device="cuda", threads=1), 640) == reason
    assert why_impossible(changed(threads=1), 640) is None


def test_a_device_is_tried_once_and_a_missing_one_never(monkeypatch):
    tried = []
    monkeypatch.setattr(devices, "_fault", lambda name: tried.append(name))
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda", torch_name="a GPU"))
    monkeypatch.setitem(DEVICES, "xpu", SimulatedTime().device(name="xpu", why_missing=lambda: "no Intel GPU here"))
    assert [try_out("cuda"), try_out("cuda"), try_out("xpu")] == [None, None, "no Intel GPU here"]
    assert tried == ["a GPU"]


def test_a_device_that_computes_wrong_does_not_work(monkeypatch):
    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(*shape))
    assert devices._fault("cpu") == "it is here and computes wrong: 512 came out as 0"


def test_whether_a_device_is_here_is_asked_without_computing_on_it(monkeypatch):
    def fail(name):
        raise AssertionError("it was tried")

    monkeypatch.setattr(devices, "_fault", fail)
    assert all(why_unusable(name) is None or isinstance(why_unusable(name), str) for name in DEVICES)


@pytest.fixture
def environment(monkeypatch):
    """A copy of the process's, without any GPUs named."""
    monkeypatch.setattr(devices.os, "environ", {})
    return devices.os.environ


@pytest.mark.parametrize(
    ("names", "before", "kinds", "visible"),
    [
        (["cpu", "cuda"], None, ["cpu", "cuda"], None),
        (["cuda:1", "cpu"], None, ["cuda", "cpu"], "1"),
        (["cuda:1"], "4,GPU-5f1c", ["cuda"], "GPU-5f1c"),
        (["cuda"], "4,7", ["cuda"], "4,7"),
    ],
)
def test_a_gpu_by_its_number_is_the_only_one_in_sight(environment, names, before, kinds, visible):
    if before is not None:
        environment["CUDA_VISIBLE_DEVICES"] = before
    assert devices.choose(names) == kinds
    assert environment.get("CUDA_VISIBLE_DEVICES") == visible


@pytest.mark.parametrize(
    ("names", "before", "reason"),
    [
        (["cuda:0", "cuda:1"], None, "a run is on one GPU, not on cuda:0 and cuda:1"),
        (["cuda:2"], "4,7", "there is no cuda:2: CUDA_VISIBLE_DEVICES names 2"),
        (["cuda:0"], "", "there is no cuda:0: CUDA_VISIBLE_DEVICES names none"),
        (["tpu"], None, "'tpu' is no device: there are cpu, cuda, mps, xpu, and a GPU by its number, like cuda:1"),
        (["cpu:1"], None, "'cpu:1' is no device"),
        (["cuda:x"], None, "'cuda:x' is no device"),
    ],
)
def test_a_gpu_that_cannot_be_chosen_is_an_error(environment, names, before, reason):
    if before is not None:
        environment["CUDA_VISIBLE_DEVICES"] = before
    with pytest.raises(ValueError, match=reason):
        devices.choose(names)


@pytest.mark.parametrize(
    ("reported", "model"),
    [
        ({"brand_raw": "AMD EPYC", "family": 25, "model": 17}, "AMD EPYC (family 25, model 17)"),
        ({"brand_raw": "AMD EPYC 64-Core Processor", "family": 25, "model": 1},
         "AMD EPYC 64-Core Processor (family 25, model 1)"),
        ({"brand_raw": "Intel(R) Xeon(R) Processor @ 2.70GHz", "family": 6, "model": 143},
         "Intel(R) Xeon(R) Processor (family 6, model 143) @ 2.70GHz"),
        ({"brand_raw": "AMD EPYC 7763 64-Core Processor", "family": 25, "model": 1}, "AMD EPYC 7763 64-Core Processor"),
        ({"brand_raw": "Apple M1"}, "Apple M1"),
        ({"brand_raw": "Arm Processor"}, "Arm Processor"),
    ],
)  # fmt: skip
def test_a_processor_whose_brand_names_no_model_is_told_by_its_numbers(monkeypatch, reported, model):
    monkeypatch.setattr(devices, "_cpu_info", lambda: reported)
    assert devices.cpu_model() == model


def test_the_numbers_part_machines_that_a_virtual_machine_gives_one_brand(monkeypatch):
    def slug(model: int) -> str:
        reported = {"brand_raw": "Intel(R) Xeon(R) Processor @ 2.70GHz", "family": 6, "model": model}
        monkeypatch.setattr(devices, "_cpu_info", lambda: reported)
        return facts.machine().slug

    assert slug(85) != slug(143)
    assert facts.machine().label.startswith("Intel Xeon (family 6, model 143), ")
