import dataclasses
import itertools
from types import SimpleNamespace

import pytest

from bench.measure import energy
from bench.measure.clock import Clock
from bench.measure.energy import CPU, GPU, Meter, MeterError, measure_energy, why_not
from tests.measure.machines import NVMLError, gpu, no_nvml
from tests.measure.simulated import SimulatedTime


@pytest.fixture(autouse=True)
def powercap(monkeypatch, tmp_path):
    """A machine without energy counters; the tests put some into its folder."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def zone(folder, number, name, joules, wraps_at_joules=1000):
    path = folder / f"intel-rapl:{number}"
    path.mkdir(exist_ok=True)
    for file, text in (("name", name), ("energy_uj", joules * 10**6), ("max_energy_range_uj", wraps_at_joules * 10**6)):
        (path / file).write_text(f"{text}\n")


@pytest.fixture
def meter(monkeypatch):
    """A counter whose reading is `joules`."""
    fake = SimpleNamespace(joules=100.0)
    row = Meter("a test's meter", "cpu", lambda: [fake.joules], lambda: [500.0])
    monkeypatch.setattr(energy, "METERS", (row,))
    return fake


def repeating(time, fake, seconds, joules):
    def repeat():
        time.seconds += seconds
        fake.joules += joules

    return repeat


def reason(found) -> str:
    """Why there is no number; there must be neither number nor 0."""
    assert (found.joules, found.window_seconds, found.meter) == (None, None, None)
    return found.reason


def test_joules_are_of_one_repetition_over_a_window_of_more_than_two_seconds(meter):
    time = SimulatedTime()
    found = measure_energy(repeating(time, meter, 0.5, 3.0), time.clock(), 0.5)
    assert (found.joules, found.window_seconds, found.meter, found.reason) == (3.0, 2.5, "a test's meter", None)
    assert time.seconds == 2.5


def test_a_counter_that_starts_anew_meanwhile_is_read_right(meter):
    time = SimulatedTime()
    meter.joules = 498.0

    def repeat():
        time.seconds += 1
        meter.joules = (meter.joules + 2) % 500

    assert measure_energy(repeat, time.clock(), 1.0).joules == 2.0
    assert meter.joules < 10


def test_a_window_that_turns_out_short_is_refused(meter):
    time = SimulatedTime()
    # It was said to take half a second and takes a tenth of that.
    found = measure_energy(repeating(time, meter, 0.05, 3.0), time.clock(), 0.5)
    assert reason(found) == "the window of 0.25 s is too short for a test's meter"


def test_a_counter_that_does_not_move_is_no_measurement_of_nothing(meter):
    time = SimulatedTime()
    found = measure_energy(repeating(time, meter, 0.5, 0.0), time.clock(), 0.5)
    assert reason(found) == "a test's meter did not move in 2.5 s"


def test_a_counter_that_goes_backwards_without_starting_anew_is_no_measurement(monkeypatch):
    time = SimulatedTime()
    readings = itertools.chain([9.0, 9.0], itertools.repeat(4.0))
    monkeypatch.setattr(energy, "METERS", (Meter("a GPU's", "cpu", lambda: [next(readings)], lambda: [0.0]),))
    assert "did not move" in reason(measure_energy(repeating(time, SimpleNamespace(joules=0), 1, 0), time.clock(), 1))


def test_a_counter_that_is_lost_meanwhile_loses_the_energy_and_not_the_case(monkeypatch):
    time = SimulatedTime()
    readings = iter([[9.0], [9.0]])

    def joules():
        try:
            return next(readings)
        except StopIteration:
            raise MeterError("the GPU has gone") from None

    monkeypatch.setattr(energy, "METERS", (Meter("a GPU's", "cpu", joules, lambda: [0.0]),))
    found = measure_energy(repeating(time, SimpleNamespace(joules=0), 1, 0), time.clock(), 1)
    assert reason(found) == "the counter was lost: the GPU has gone"


def test_without_a_counter_nothing_is_run_and_the_reason_is_told():
    def never():
        raise AssertionError("it was run")

    found = measure_energy(never, Clock(), 0.5)
    assert reason(found).startswith("not measurable here: this system shows no energy counter of the processor (RAPL)")
    other = dataclasses.replace(SimulatedTime().device(), torch_name="mps")
    assert reason(measure_energy(never, Clock(other), 0.5)) == "not measurable here: there is no energy counter for mps"


def test_packages_are_added_up_and_their_parts_and_the_platform_are_not(powercap):
    zone(powercap, "0", "package-0", 40)
    zone(powercap, "1", "package-1", 2)
    zone(powercap, "0:0", "core", 30)
    zone(powercap, "0:1", "dram", 5)
    zone(powercap, "2", "psys", 90)  # a laptop's platform, processor included
    (row,) = (row for row in energy.METERS if row.name == CPU)
    assert row.joules() == [40, 2]
    assert why_not("cpu") is None
    zone(powercap, "1", "package-1", 3)
    zone(powercap, "2", "psys", 99)
    assert row.joules_since([40, 2]) == 1


def test_one_package_starts_anew_and_the_other_does_not(powercap):
    zone(powercap, "0", "package-0", 990, wraps_at_joules=1000)
    zone(powercap, "1", "package-1", 100, wraps_at_joules=7000)
    time, drawn = SimulatedTime(), itertools.count(1)

    def repeat():
        time.seconds += 1
        spent = 10 * next(drawn)
        zone(powercap, "0", "package-0", (990 + spent) % 1000, wraps_at_joules=1000)
        zone(powercap, "1", "package-1", 100 + spent, wraps_at_joules=7000)

    found = measure_energy(repeat, time.clock(), 1.0)
    assert found.joules == pytest.approx(20)
    assert found.meter == CPU


def test_a_counter_that_cannot_be_read_is_a_reason(powercap):
    zone(powercap, "0", "package-0", 40)
    (powercap / "intel-rapl:0/energy_uj").write_text("secret\n")
    assert "the processor's energy counter cannot be read" in why_not("cpu")
    (powercap / "intel-rapl:0/energy_uj").unlink()  # for most users it may as well not be there
    assert "cannot be read" in why_not("cpu")


def test_the_gpus_counter_is_in_millijoules(monkeypatch):
    time, millijoules = SimulatedTime(), itertools.count(5_000_000, 1_500)
    gpu(monkeypatch, DeviceGetTotalEnergyConsumption=lambda: next(millijoules))
    clock = time.clock(torch_name="cuda")
    found = measure_energy(lambda: setattr(time, "seconds", time.seconds + 1), clock, 1.0)
    assert (found.joules, found.meter) == (0.5, GPU)  # one reading a question, 1.5 J apart, over three repetitions


def test_on_a_gpu_the_hosts_energy_is_taken_beside_it_or_the_reason_why_not(monkeypatch, powercap):
    time, millijoules = SimulatedTime(), itertools.count(5_000_000, 1_500)
    gpu(monkeypatch, DeviceGetTotalEnergyConsumption=lambda: next(millijoules))
    clock = time.clock(torch_name="cuda")
    drawn = itertools.count(1)

    def repeat():
        time.seconds += 1
        zone(powercap, "0", "package-0", 7 * next(drawn))

    found = measure_energy(repeat, clock, 1.0)
    assert (found.joules, found.host_joules) == (0.5, None)
    assert found.host_reason.startswith("this system shows no energy counter of the processor (RAPL)")
    found = measure_energy(repeat, clock, 1.0)
    assert (found.joules, found.host_joules, found.host_reason) == (0.5, 7.0, None)


@pytest.mark.parametrize("answer", [NVMLError("Not Supported"), NVMLError("Driver Not Loaded")])
def test_a_gpu_without_a_counter_gives_nvmls_reason(monkeypatch, answer):
    gpu(monkeypatch, DeviceGetTotalEnergyConsumption=answer)
    found = measure_energy(lambda: None, SimulatedTime().clock(torch_name="cuda"), 1.0)
    assert reason(found) == f"not measurable here: NVML has no energy counter to read: {answer}"


def test_without_nvml_a_gpus_energy_is_not_measurable(monkeypatch):
    no_nvml(monkeypatch)
    assert "NVML is not installed" in why_not("cuda")
    with pytest.raises(MeterError):
        energy.METERS[0].joules()
