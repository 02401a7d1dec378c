import dataclasses
import sys

import pytest
import torch
from rich.console import Console

from bench.axes.case import Case
from bench.measure import energy, env, nvml, settings, validity
from bench.measure.conditions import CPU_CONDITIONS, Condition
from bench.measure.env import Around
from bench.measure.surroundings import Watch
from bench.measure.validity import Observation
from bench.record.model import Beside

STEP = Case(threads=2)
QUIET = Observation(STEP, clock_resolution_seconds=4e-8)


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """A process that nothing slows down, whatever these tests run under."""
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)
    monkeypatch.setitem(validity.CHECKS, "profiled", lambda seen: None)
    monkeypatch.setattr(settings, "cpu_quota_cores", lambda: None)
    monkeypatch.setattr(settings, "usable_cores", lambda: 2)


def warnings(seen=QUIET, disturbance=None):
    return env.warnings(Around(seen, [], disturbance))


def test_nothing_to_warn_of():
    assert warnings() == []


@pytest.mark.parametrize(
    ("seen", "warning"),
    [
        ({"case": dataclasses.replace(STEP, threads=9)}, "oversubscribed: 9 threads on 2 usable cores; set OMP_NUM"),
        ({"clock_resolution_seconds": 1e-3}, "coarse-clock: the clock's step of 1.0e-03 s is over 0.1% of a block; no"),
    ],
)
def test_what_is_seen_around_is_warned_of(seen, warning):
    (said,) = warnings(dataclasses.replace(QUIET, **seen))
    assert said.startswith(warning)


def test_what_would_disturb_a_round_now_is_warned_of_first(monkeypatch):
    monkeypatch.setattr(torch.version, "debug", True)
    assert warnings(disturbance="other processes kept 0.8 cores busy meanwhile") == [
        "disturbed: other processes kept 0.8 cores busy meanwhile; the remedy is above",
        "debug-build: this is a debug build of torch; install a release build",
    ]


def test_settings_are_warned_of(monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    monkeypatch.setattr(torch.version, "debug", True)
    with torch.autograd.set_detect_anomaly(True):
        assert warnings() == [
            "launch-blocking: CUDA_LAUNCH_BLOCKING makes every kernel wait; unset it",
            "anomaly-mode: autograd's anomaly mode checks every operator for NaN; switch it off",
            "debug-build: this is a debug build of torch; install a release build",
        ]


def test_a_tracer_is_warned_of(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert [text for text in warnings() if text.startswith("profiled: ") and text.endswith("; run without it")]


def test_every_flag_that_can_be_seen_beforehand_has_advice():
    # The other needs a case that has been measured.
    assert set(env.ADVICE) == set(validity.CHECKS) - {"not-as-claimed"}


def test_the_clock_is_told_and_whether_energy_is_measurable(monkeypatch):
    seen = dataclasses.replace(QUIET, clock_resolution_seconds=4.1e-8)
    monkeypatch.setattr(energy, "why_not", lambda device: "no counter")
    assert env.instruments(seen, ["cpu"]) == {"clock resolution": "41 ns", "energy, cpu": "not measurable: no counter"}
    monkeypatch.setattr(energy, "why_not", lambda device: None)
    assert env.instruments(seen, ["cpu"])["energy, cpu"] == "measurable"


def test_conditions_show_verdict_state_effect_and_remedy(capsys):
    table = env.disturbing(
        [
            Condition("smt_siblings", "2 usable CPUs on 2 cores"),
            Condition("turbo", "on", "the clock rate depends on the temperature", "echo 0 | sudo tee /sys/boost"),
            Condition("swap", "not known: this system has no /proc/meminfo"),
            Condition("thread_spinning", "GOMP_SPINCOUNT=\x1b[1m[bold]\n2"),
        ]
    )
    Console(width=70, markup=False, highlight=False).print(table)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "what will disturb",
        "smt siblings     fine: 2 usable CPUs on 2 cores",
        "turbo            disturbs: on",
        "                 effect: the clock rate depends on the temperature",
        "                 remedy: echo 0 | sudo tee /sys/boost",
        "swap             not known: this system has no /proc/meminfo",
        "thread spinning  fine: GOMP_SPINCOUNT=[bold] 2",
    ]


@pytest.fixture
def unwatched(monkeypatch):
    """No time passes, and nothing is seen."""
    monkeypatch.setattr(env, "WATCHED_SECONDS", 0.0)
    monkeypatch.setattr(settings, "use_threads", lambda threads: None)
    monkeypatch.setattr(Watch, "seen", lambda watch: (Beside(others_cores=0.5), "others were busy"))


def test_what_the_watch_saw_is_in_the_conditions(unwatched):
    around = env.look_around(["cpu"])
    states = {condition.name: condition.state for condition in around.conditions}
    assert list(states) == list(CPU_CONDITIONS)
    assert states["load_by_other_processes"].endswith(" cores")
    assert around.disturbance == "others were busy"


def test_only_a_gpu_of_cuda_is_asked_for_its_number(unwatched, monkeypatch):
    def fail():
        raise AssertionError("torch is not compiled with CUDA enabled")

    monkeypatch.setattr(nvml, "gpu_uuid", fail)
    monkeypatch.setitem(
        env.DEVICES, "mps", dataclasses.replace(env.DEVICES["mps"], torch_name="cpu", why_missing=lambda: None)
    )
    assert env.look_around(["cpu", "mps"]).seen.case.device == "mps"


def test_the_whole_prints_and_finds_its_way_around(unwatched, capsys):
    assert env.env() == 0
    printed = capsys.readouterr().out
    for text in ("cpu bf16 instructions", "memory", "GiB", "energy, cpu", "what will disturb", "smt siblings"):
        assert text in printed
    assert printed.count("load by other processes") == 1  # watched, and not once more as the record has it
    assert "warning: disturbed: others were busy; the remedy is above" in printed
    assert "True" not in printed
    assert "None" not in printed
