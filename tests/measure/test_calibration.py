import dataclasses
from types import SimpleNamespace

import pytest
import torch

from bench.axes.devices import DEVICES
from bench.measure import calibration
from bench.measure.clock import Clock
from bench.measure.probe import Probe, ReadyProbe
from bench.measure.sampling import SamplingRule
from bench.record.model import Calibration, to_json
from bench.record.store import of_json
from tests.data.records import GPU_RECORD
from tests.measure.simulated import SimulatedTime

QUICK = SamplingRule(block_seconds=1e-4, budget_seconds=1e-3, warmup_seconds=1e-4)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(calibration, "RULE", QUICK)
    monkeypatch.setattr(calibration, "CPU_MATMUL_SIZE", 16)
    monkeypatch.setattr(calibration, "CPU_COPY_BYTES", 4096)
    monkeypatch.setattr(calibration, "CPU_CACHED_BYTES", 1024)
    calibration._kept.cache_clear()
    yield
    calibration._kept.cache_clear()


@pytest.fixture
def accelerator(monkeypatch):
    """A GPU without memory or arithmetic, in the place of CUDA's row; its graphs and barriers do nothing."""
    monkeypatch.setitem(DEVICES, "cuda", SimulatedTime().device(name="cuda", torch_name="meta"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    chains = [
        Probe(name, unit, lambda device, clock: ReadyProbe(lambda: None, 10), lambda device: device == "cuda")
        for name, unit in (("graph_node", "node"), ("grid_barrier", "barrier"))
    ]
    monkeypatch.setattr(calibration, "PROBES", (*calibration.PROBES[:-2], *chains))
    return "cuda"


def by_name(found):
    return {y.name: y for y in found}


def test_the_cpu_is_probed_for_its_matrix_product_copies_and_dispatch():
    found = by_name(calibration.run("cpu", 1, {"fp32"}))
    assert set(found) == {"matmul_fp32", "copy", "copy_cached", "dispatch"}
    assert {y.device for y in found.values()} == {"cpu"}
    assert all(len(y.samples_seconds) >= QUICK.minimum_samples for y in found.values())
    assert all((y.after_samples_seconds, y.reason) == (None, None) for y in found.values())


def test_a_gpu_is_probed_for_its_launches_and_chains_and_not_for_the_hosts_dispatch(accelerator):
    found = by_name(calibration.run(accelerator, 1, {"fp32", "tf32"}))
    rates, calls = {"matmul_fp32", "matmul_tf32", "copy", "copy_cached"}, {"launch", "backward_thread"}
    assert set(found) == {*rates, *calls, "graph_node", "grid_barrier"}
    assert {y.device for y in found.values()} == {"cuda"}
    assert [(found[name].unit, found[name].work_per_repetition) for name in ("graph_node", "grid_barrier")] == [
        ("node", 10), ("barrier", 10)
    ]  # fmt: skip


def test_only_cuda_has_graphs_and_barriers(monkeypatch):
    monkeypatch.setitem(DEVICES, "mps", SimulatedTime().device(name="mps", torch_name="meta"))
    assert set(by_name(calibration.run("mps", 1, set()))) == {"copy", "copy_cached", "launch", "backward_thread"}


@pytest.mark.parametrize(
    ("free_gib", "copied_bytes", "size"),
    [(140, 2**30, 8192), (6, 2**29, 8192), (3.5, 2**28, 4096), (0.5, 2**26, 2048), (0.1, 2**26, 2048)],
)
def test_buffers_follow_the_free_memory(accelerator, monkeypatch, free_gib, copied_bytes, size):
    monkeypatch.setattr(calibration, "_quickest_seconds", lambda repeat, clock: 0.0)
    monkeypatch.setitem(calibration.FREE_BYTES, "meta", lambda: int(free_gib * 2**30))
    found = by_name(calibration.run(accelerator, 1, {"fp32"}))
    assert found["copy"].work_per_repetition == 2 * copied_bytes
    assert found["matmul_fp32"].work_per_repetition == 2 * size**3


@pytest.mark.parametrize(("seconds", "size"), [(0.0001, 8192), (0.001, 4096), (0.01, 2048), (1.0, 2048)])
def test_a_product_takes_no_seconds_on_a_small_card(accelerator, monkeypatch, seconds, size):
    """`seconds` are those of the smallest, of which the largest takes 64 times as long."""
    monkeypatch.setitem(calibration.FREE_BYTES, "meta", lambda: 2**36)
    monkeypatch.setattr(calibration, "_quickest_seconds", lambda repeat, clock: seconds)
    found = by_name(calibration.run(accelerator, 1, {"fp32"}))
    assert found["matmul_fp32"].work_per_repetition == 2 * size**3


def test_an_idle_gpu_has_time_to_raise_its_clocks_before_sizes_are_chosen(monkeypatch):
    monkeypatch.setattr(calibration, "RULE", SamplingRule(warmup_seconds=0.1))
    time = SimulatedTime()
    slow_at_first = iter([0.5] + [0.004] * 20 + [0.001] * 1000)  # the very first loads what it needs
    assert calibration._quickest_seconds(time.repeat_taking(slow_at_first), time.clock()) == pytest.approx(0.001)


def test_a_gpu_copies_within_its_cache_in_a_graph_and_others_one_by_one(monkeypatch):
    """A launch of each would take longer than the bytes."""
    monkeypatch.setattr(calibration, "_copy", lambda size: lambda device, clock: ReadyProbe(lambda: None, 32.0))
    monkeypatch.setattr(calibration.latency, "in_a_graph", lambda repeat, times: (repeat, times))
    on_gpu, on_cpu = (calibration._cached_copy(device, Clock()) for device in ("cuda", "cpu"))
    assert (on_gpu.repeat[1], on_gpu.work) == (calibration.GRAPH_COPIES, 32.0 * calibration.GRAPH_COPIES)
    assert on_cpu.work == 32.0


@pytest.mark.parametrize(
    ("device", "properties", "expected"),
    [
        ("cuda", {"L2_cache_size": 50 * 2**20}, 16 * 2**20),  # an H100
        ("cuda", {"L2_cache_size": 40 * 2**20}, 8 * 2**20),
        ("cuda", {"L2_cache_size": 4 * 2**20}, 2**20),  # a T4
        ("cuda", {"L2_cache_size": 10**6}, 2**18),
        ("cuda", {"L2_cache_size": 0}, 16 * 2**20),  # not told
        ("cuda", {}, 16 * 2**20),
        ("mps", {"L2_cache_size": 10**6}, 16 * 2**20),  # CUDA is not asked for it
        ("cpu", {}, 1024),
    ],
)
def test_buffers_fit_into_the_gpus_cache_where_its_size_is_told(monkeypatch, device, properties, expected):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(**properties))
    assert calibration._cached_bytes(device) == expected


def test_an_accelerators_memory_is_given_back_after_each_probe(accelerator, monkeypatch):
    given = []
    monkeypatch.setitem(calibration.GIVE_BACK, "meta", lambda: given.append(True))
    assert len(calibration.run(accelerator, 1, {"fp32"})) == len(given) == 7


@pytest.mark.parametrize("fails", ["prepare", "repeat", "check", "why_not"])
def test_a_probe_that_fails_has_its_reason_and_costs_no_other(monkeypatch, fails):
    def planted(*_):
        raise RuntimeError("planted")

    def nothing():
        pass

    prepared = ReadyProbe(planted if fails == "repeat" else nothing, 10, planted if fails == "check" else nothing)
    probe = Probe(
        "broken", "call", planted if fails == "prepare" else lambda *_: prepared,
        why_not=lambda: "it is not installed" if fails == "why_not" else None,
    )  # fmt: skip
    monkeypatch.setattr(calibration, "PROBES", (probe, *calibration.PROBES))
    found = by_name(calibration.run("cpu", 1, set()))
    broken = found.pop("broken")
    reason = "it is not installed" if fails == "why_not" else "RuntimeError: planted"
    assert (broken.reason, broken.samples_seconds) == (reason, [])
    assert set(found) == {"copy", "copy_cached", "dispatch"}
    assert all(y.samples_seconds for y in found.values())


def test_a_record_can_hold_every_probe():
    samples = [Calibration(probe.name, "cuda", probe.unit, 1.0, [1.0]) for probe in calibration.PROBES]
    of_json(to_json(dataclasses.replace(GPU_RECORD, calibrations=samples)), "a record")


def test_work_is_in_its_unit():
    found = by_name(calibration.run("cpu", 1, {"fp32"}))
    assert {name: (y.unit, y.work_per_repetition) for name, y in found.items()} == {
        "matmul_fp32": ("flop", 2 * 16**3),
        "copy": ("byte", 2 * 4096),  # read and written
        "copy_cached": ("byte", 2 * 1024),
        "dispatch": ("call", 1),
    }


def test_only_the_precisions_of_the_run_are_timed_and_never_an_impossible_one():
    names = set(by_name(calibration.run("cpu", 1, {"bf16", "tf32"})))
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
    (probe,) = (probe for probe in calibration.PROBES if probe.name == f"matmul_{precision}")
    before = torch.get_float32_matmul_precision()
    try:
        probe.prepare("cpu", Clock(DEVICES["cpu"])).repeat()
        ((a, b),) = seen
        assert (a.dtype, b.dtype, a.shape, b.shape) == (dtype, dtype, (16, 16), (16, 16))
        assert b.t().is_contiguous()  # as nn.Linear has its weight
        assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_precision_of_products_is_left_at_its_default():
    torch.set_float32_matmul_precision("medium")
    calibration.run("cpu", 1, {"fp32"})
    assert torch.get_float32_matmul_precision() == "highest"


def test_buffers_are_made_once_a_process(monkeypatch):
    made = []
    original = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *a, **k: made.append(a) or original(*a, **k))
    calibration.run("cpu", 1, {"fp32"})
    calibration.run("cpu", 1, {"fp32"})
    assert len(made) == 2  # the two factors


def test_probes_use_the_threads_of_the_cases():
    before = torch.get_num_threads()
    try:
        calibration.run("cpu", 2, set())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
