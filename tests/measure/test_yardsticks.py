import pytest
import torch

from bench.axes.devices import DEVICES
from bench.measure import yardsticks
from bench.measure.sampling import Rule
from bench.record.model import Yardstick
from tests.measure.simulated import SimulatedTime

QUICK = Rule(block_seconds=1e-4, budget_seconds=1e-3, warmup_seconds=1e-4)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(yardsticks, "RULE", QUICK)
    monkeypatch.setattr(yardsticks, "_matmul_size", lambda device: 16)
    monkeypatch.setattr(yardsticks, "COPY_BYTES", {"cpu": 4096, "meta": 4096})
    monkeypatch.setattr(yardsticks, "CACHED_BYTES", {"cpu": 1024})
    yardsticks._repetition.cache_clear()
    yield
    yardsticks._repetition.cache_clear()


@pytest.fixture
def accelerator(monkeypatch):
    """A GPU without memory or arithmetic, in the place of CUDA's row."""
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda", torch_name="meta"))
    return "cuda"


def by_name(found):
    return {y.name: y for y in found}


def test_the_cpu_is_probed_for_its_matrix_product_copies_and_dispatch():
    found = by_name(yardsticks.run("cpu", 1, {"fp32"}))
    assert set(found) == {"matmul_fp32", "copy", "copy_cached", "dispatch"}
    assert {y.device for y in found.values()} == {"cpu"}
    assert all(len(y.samples_seconds) >= QUICK.minimum_samples for y in found.values())
    assert all(y.after_samples_seconds is None for y in found.values())


def test_an_accelerator_is_probed_for_its_launches_and_not_for_the_hosts_dispatch(accelerator, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    found = by_name(yardsticks.run(accelerator, 1, {"fp32", "tf32"}))
    assert set(found) == {"matmul_fp32", "matmul_tf32", "copy", "copy_cached", "launch"}
    assert {y.device for y in found.values()} == {"cuda"}


def test_work_is_in_its_unit():
    found = by_name(yardsticks.run("cpu", 1, {"fp32"}))
    assert {name: (y.unit, y.work_per_repetition) for name, y in found.items()} == {
        "matmul_fp32": ("flop", 2 * 16**3),
        "copy": ("byte", 2 * 4096),  # read and written
        "copy_cached": ("byte", 2 * 1024),
        "dispatch": ("call", 1),
    }


def test_only_the_precisions_of_the_run_are_timed_and_never_an_impossible_one():
    names = set(by_name(yardsticks.run("cpu", 1, {"bf16", "tf32"})))
    assert {name for name in names if name.startswith("matmul")} == {"matmul_bf16"}


@pytest.mark.parametrize(
    ("precision", "dtype", "setting"),
    [
        ("fp32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bf16", torch.bfloat16, "highest"),
        ("fp16", torch.float16, "highest"),
    ],
)
def test_a_matrix_product_is_in_its_precision(monkeypatch, precision, dtype, setting):
    seen = []
    original = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: seen.append((a, b)) or original(a, b, out=out))
    (probe,) = (probe for probe in yardsticks.PROBES if probe.name == f"matmul_{precision}")
    before = torch.get_float32_matmul_precision()
    try:
        probe.make("cpu")()
        ((a, b),) = seen
        assert (a.dtype, b.dtype, a.shape, b.shape) == (dtype, dtype, (16, 16), (16, 16))
        assert b.t().is_contiguous()  # as nn.Linear has its weight
        assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_precision_of_products_is_left_at_its_default():
    torch.set_float32_matmul_precision("medium")
    yardsticks.run("cpu", 1, {"fp32"})
    assert torch.get_float32_matmul_precision() == "highest"


def test_buffers_are_made_once_a_process(monkeypatch):
    made = []
    original = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *a, **k: made.append(a) or original(*a, **k))
    yardsticks.run("cpu", 1, {"fp32"})
    yardsticks.run("cpu", 1, {"fp32"})
    assert len(made) == 2  # the two factors


def test_probes_use_the_threads_of_the_cases():
    before = torch.get_num_threads()
    try:
        yardsticks.run("cpu", 2, set())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def yardstick(device, name, *samples):
    return Yardstick(name, device, "call", 1.0, list(samples))


def test_later_samples_stand_beside_the_earlier_of_the_same_device_and_name():
    before = [yardstick("cpu", "copy", 1.0), yardstick("cuda", "copy", 2.0), yardstick("cuda", "launch", 3.0)]
    after = [yardstick("cuda", "copy", 2.5), yardstick("cpu", "copy", 1.5)]
    joined = yardsticks.joined(before, after)
    assert [y.samples_seconds for y in joined] == [[1.0], [2.0], [3.0]]
    assert [y.after_samples_seconds for y in joined] == [[1.5], [2.5], None]
