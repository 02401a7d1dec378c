import dataclasses
import sys

import pytest
import torch

from bench.axes.case import Case
from bench.measure import energy, env, honesty, settings
from bench.measure.honesty import Seen
from bench.measure.sampling import Rule, Samples

STEP = Case("step", "cpu", 64, "fp32", "off", "adam", "resident", threads=2)
QUIET = Seen(STEP, Samples([5e-3], None, 1, 0.0, 0.0, 0), Rule(), clock_resolution_seconds=4e-8)


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """A process that nothing slows down, whatever these tests run under."""
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)
    monkeypatch.setitem(honesty.CHECKS, "profiled", lambda seen: None)
    monkeypatch.setattr(settings, "cpu_quota_cores", lambda: None)
    monkeypatch.setattr(settings, "usable_cores", lambda: 2)


def test_nothing_to_warn_of():
    assert env.warnings(QUIET) == []


@pytest.mark.parametrize(
    ("seen", "warning"),
    [
        ({"others_cores": 0.84}, "contended: other processes kept 0.8 cores busy meanwhile; end them, or wait until"),
        ({"case": dataclasses.replace(STEP, threads=9)}, "oversubscribed: 9 threads on 2 usable cores; set OMP_NUM"),
        ({"clock_resolution_seconds": 1e-3}, "coarse-clock: the clock's step of 1.0e-03 s is over 0.1% of a block; no"),
        ({"throttle_reasons": 0x40}, "throttled: the GPU has lowered its clocks (NVML reasons 0x40); let it cool"),
        ({"gpu_others": 2}, "gpu-shared: 2 other processes use the GPU; end them"),
    ],
)
def test_what_is_seen_around_is_warned_of(seen, warning):
    (found,) = env.warnings(dataclasses.replace(QUIET, **seen))
    assert found.startswith(warning)


def test_settings_are_warned_of(monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    monkeypatch.setattr(torch.version, "debug", True)
    with torch.autograd.set_detect_anomaly(True):
        assert env.warnings(QUIET) == [
            "launch-blocking: CUDA_LAUNCH_BLOCKING makes every kernel wait; unset it",
            "anomaly-mode: autograd's anomaly mode checks every operator for NaN; switch it off",
            "debug-build: this is a debug build of torch; install a release build",
        ]


def test_a_tracer_is_warned_of(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert [text for text in env.warnings(QUIET) if text.startswith("profiled: ") and text.endswith("; run without it")]


def test_every_flag_that_can_be_seen_beforehand_has_advice():
    # The others need a case that has been measured.
    assert set(env.ADVICE) == set(honesty.CHECKS) - {"cold", "unsynchronised", "recompiled", "not-as-claimed"}


def test_the_state_says_whether_energy_is_measurable(monkeypatch):
    seen = dataclasses.replace(QUIET, others_cores=0.061, clock_resolution_seconds=4.1e-8)
    monkeypatch.setattr(energy, "why_not", lambda device: "no counter")
    assert env.state(seen, ["cpu"]) == {
        "load by other processes": "0.06 cores",
        "clock resolution": "41 ns",
        "energy, cpu": "not measurable: no counter",
    }
    monkeypatch.setattr(energy, "why_not", lambda device: None)
    assert env.state(seen, ["cpu"])["energy, cpu"] == "measurable"


def test_the_whole_prints_and_finds_its_way_around(monkeypatch, capsys):
    monkeypatch.setattr(env, "WATCHED_SECONDS", 0.0)
    monkeypatch.setattr(settings, "use_threads", lambda threads: None)
    assert env.env() == 0
    printed = capsys.readouterr().out
    for text in ("cpu bf16 instructions", "memory", "GiB", "right now", "load by other processes", "energy, cpu"):
        assert text in printed
    assert "True" not in printed
    assert "None" not in printed
