import dataclasses
import math

import pytest

from bench.axes import matrix
from bench.axes.case import case_id
from bench.axes.devices import DEVICES
from bench.suite import costs
from bench.suite.costs import Rates, group_of, groups, repetition_seconds
from bench.suite.plan import (
    EPOCH_PROCESSES,
    LEAST_STEP_SECONDS,
    MOST_ROUNDS,
    MOST_STEP_SECONDS,
    PLAN_SECONDS,
    REPORT_SECONDS,
    STEP_SHARES,
    USUAL_SURVEY_SECONDS,
    Effort,
    Share,
    make,
    share,
)
from bench.workers.serve import State
from bench.workers.survey import rates
from fcnn.data import load_images
from tests.axes.test_case import changed
from tests.suite.local import options

TRAIN = 60_000
# 400 µs a step and 1 µs an image; the loader takes 40 µs more an image.
RATES = Rates({"cpu": (400e-6, 1e-6)}, 40e-6)
EPOCH = 938 * 400e-6 + TRAIN * 1e-6


def machine(factor: float, **changes: object) -> Rates:
    """So many times as slow as RATES."""
    fixed, per_image = (factor * seconds for seconds in RATES.step_seconds["cpu"])
    return dataclasses.replace(Rates({"cpu": (fixed, per_image)}, factor * 40e-6), **changes)


def planned(plan="quick", rates=RATES, survey_seconds=0.0, **chosen):
    selected = options(**chosen)
    cases = {case_id(case): case for case in matrix.cases(selected, plan, [])}
    cases = {id: case for id, case in cases.items() if case.precision != "tf32" and case.feed != "device"}
    return make(cases, TRAIN, selected, plan, rates, survey_seconds)


def test_what_looking_at_the_machine_takes_longer_than_usual_is_not_left_for_rounds():
    usual, slow = (planned(rates=machine(0.3), survey_seconds=seconds) for seconds in (USUAL_SURVEY_SECONDS, 7.0))
    assert usual == planned(rates=machine(0.3))
    assert slow.seconds <= PLAN_SECONDS["quick"] - 2 * (7.0 - USUAL_SURVEY_SECONDS) + 0.1 < usual.seconds
    assert planned(survey_seconds=100.0).effort.step_seconds == LEAST_STEP_SECONDS


@pytest.mark.parametrize("plan", ["quick", "suite"])
def test_a_slower_machine_gets_less_effort(plan):
    efforts = [planned(plan, machine(factor)).effort for factor in (0.1, 0.3, 1, 2, 4, 100)]
    for name in ("step_seconds", "epochs", "seeds"):
        values = [getattr(effort, name) for effort in efforts if effort.epochs == 3 or name != "step_seconds"]
        assert values == sorted(values, reverse=True)
    thorough = plan != "quick"
    assert (efforts[0].epochs, efforts[0].seeds) == (5, 5)
    assert 1 < efforts[0].step_seconds <= MOST_STEP_SECONDS
    assert efforts[-1] == Effort(step_seconds=LEAST_STEP_SECONDS, epochs=3, seeds=3, thorough=thorough)


@pytest.mark.parametrize("factor", [0.5, 1, 1.5, 2])
def test_the_steps_get_what_is_left_of_the_plans_time(factor):
    found = planned(rates=machine(factor))
    left = PLAN_SECONDS["quick"] - found.seconds_without("steps")
    steps = 16
    assert found.effort.step_seconds == pytest.approx(
        min(max(left / steps, LEAST_STEP_SECONDS), MOST_STEP_SECONDS), abs=0.005
    )
    if found.effort.step_seconds > LEAST_STEP_SECONDS:
        assert found.seconds <= PLAN_SECONDS["quick"] + 0.1
    if found.effort.step_seconds < 1:  # then fewer epochs and seeds would not have given them more
        assert (found.effort.epochs, found.effort.seeds) == (3, 3)


@pytest.mark.parametrize(("plan", "calibrations_left"), [("quick", 0), ("suite", 1)])
def test_what_was_planned_and_took_less_leaves_room_for_further_processes(plan, calibrations_left):
    made = planned(plan)
    until = made.seconds - REPORT_SECONDS - calibrations_left * made.calibrate_seconds / made.calibrations
    assert made.has_room(until - 2.01, 2.0, 6)
    assert not made.has_room(until - 1.99, 2.0, 6)
    assert not made.has_room(0.0, 2.0, STEP_SHARES[0][0])


def test_what_was_asked_for_has_no_room_for_more():
    assert not planned(budget=1.0).has_room(0.0, 0.1, 1)
    assert not planned(batch=[64]).has_room(0.0, 0.1, 1)


def test_a_budget_of_ones_own_is_kept_whatever_it_takes():
    found = planned(rates=machine(100), budget=2.0)
    assert found.effort == Effort(step_seconds=2.0, thorough=False)
    assert found.seconds > PLAN_SECONDS["quick"]


def test_a_matrix_of_ones_own_is_kept_whatever_it_takes():
    found = planned(rates=machine(100), workload=["epoch"], seeds=7, epochs=9)
    assert found.effort == Effort(epochs=9, seeds=7, thorough=False)
    assert found.shares["epochs"].processes * found.shares["epochs"].rounds >= 9


def test_threads_and_devices_alone_are_still_the_plan():
    assert planned(rates=machine(100), threads=[1]).effort.step_seconds == LEAST_STEP_SECONDS


def test_fewer_epochs_than_were_asked_for_are_never_made_more():
    effort = planned(rates=machine(100), epochs=2, seeds=1).effort
    assert (effort.epochs, effort.seeds) == (2, 1)


def test_a_step_and_its_parts_share_their_rounds_and_epochs_and_trainings_have_theirs():
    cases = {w: changed(workload=w) for w in ("forward", "epoch", "step", "accuracy", "optimizer", "forward_backward")}
    assert {name: list(members) for name, members in groups(cases).items()} == {
        "steps": ["forward", "step", "optimizer", "forward_backward"], "epochs": ["epoch"], "trainings": ["accuracy"],
    }  # fmt: skip
    assert group_of(changed()) == "steps"


def test_more_time_is_more_processes_and_then_more_rounds():
    found = [share("steps", 1.0, 0.2, seconds, 0) for seconds in (1, 5, 8, 12, 20, 30, 60, 600)]
    assert [one.processes for one in found] == sorted(one.processes for one in found)
    assert (found[0].processes, found[0].rounds) == (3, 1)  # fewer show nothing of what processes differ by
    assert (found[-1].processes, found[-1].rounds) == (12, MOST_ROUNDS)
    for seconds, one in zip((5, 8, 12, 20, 30, 60), found[1:], strict=False):
        assert one.seconds == one.processes * (1.0 + one.rounds * 0.2)
        assert one.seconds <= seconds


def test_every_seed_and_every_epoch_has_a_process_of_its_own_as_far_as_they_go():
    assert share("trainings", 0.5, 1.0, 1.0, 5) == Share(5, 1, 7.5)
    assert share("trainings", 0.5, 1.0, 1.0, 20) == Share(EPOCH_PROCESSES, 3, 28.0)
    assert share("epochs", 0.5, 3.0, 0.0, 5) == Share(5, 1, 17.5)
    assert share("epochs", 0.5, 3.0, 0.0, 1).processes == 3
    assert share("epochs", 0.5, 0.1, 8.0, 5).rounds == 11  # short ones fill their time


def test_a_repetition_takes_what_the_survey_saw():
    assert repetition_seconds(changed(), TRAIN, RATES) == pytest.approx(464e-6)
    assert repetition_seconds(changed(workload="epoch"), TRAIN, RATES) == pytest.approx(EPOCH)
    loader = changed(workload="epoch", feed="loader")
    assert repetition_seconds(loader, TRAIN, RATES) == pytest.approx(EPOCH + TRAIN * 40e-6)
    assert repetition_seconds(changed(workload="accuracy"), TRAIN, RATES) == pytest.approx(1.6 * EPOCH)


def test_a_number_format_that_the_processor_lacks_takes_longer():
    case = changed(batch_size=4096, precision="bf16")
    lacks = dataclasses.replace(RATES, emulated=["bf16"])
    assert repetition_seconds(case, TRAIN, lacks) > 3 * repetition_seconds(case, TRAIN, RATES)


def test_compiling_is_in_the_plan_once_from_cold_and_in_every_process():
    eager, compiled = (planned(workload=["step"], compile=[mode], budget=20.0) for mode in ("off", "default"))
    assert (eager.compile_seconds, compiled.compile_seconds) == (0.0, costs.CPU_COSTS.compile)
    assert compiled.shares["steps"].seconds >= compiled.shares["steps"].processes * costs.CPU_COSTS.compiled


def test_a_command_gets_the_options_of_its_effort_that_it_lacks():
    effort = Effort(0.4, 5, 3)
    lacking = ["--epochs", "5", "--seeds", "3"]
    assert effort.added_to(["run"], costs.GROUPS) == ["run", "--budget", "0.4", *lacking]
    for given in (["run", "--budget", "0.4"], ["run", "--budget=0.4"]):
        assert effort.added_to(given, costs.GROUPS) == [*given, *lacking]
    longer = dataclasses.replace(effort, step_seconds=20.0)
    assert longer.added_to(["--budget", "20"], costs.GROUPS)[2:] == lacking
    # What was asked for is not what the plan had time for.
    given = ["--budget", "0.4", "--epochs", "9"]
    assert effort.added_to(given, costs.GROUPS) == [*given, *lacking]
    given = ["--fcnn-budget", "0.4"]
    assert effort.added_to(given, costs.GROUPS, "fcnn-")[2:] == ["--fcnn-epochs", "5", "--fcnn-seeds", "3"]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("steps", ["--budget", "0.4"]),
        ("epochs", ["--budget", "0.4", "--epochs", "5"]),
        ("trainings", ["--seeds", "3"]),
    ],
)
def test_a_command_gets_no_option_that_its_cases_do_not_have(group, words):
    assert Effort(0.4, 5, 3).added_to([], [group]) == words


def test_compiling_costs_a_gpu_what_it_costs_there():
    cpu, gpu = (changed(compiler="default", device=device) for device in ("cpu", "cuda"))
    assert (costs.compile_seconds(cpu), costs.compile_seconds(gpu)) == (13.0, 7.5)
    assert costs.prepare_seconds(cpu, "steps", 1e-3) > costs.prepare_seconds(gpu, "steps", 1e-3)


def test_a_thorough_run_takes_each_case_apart_for_longer():
    quick, thorough = (planned(plan, workload=["step"], budget=1.0) for plan in ("quick", "suite"))
    assert thorough.observe_seconds == pytest.approx(quick.observe_seconds + 100 * 464e-6)
    assert (quick.calibrations, thorough.calibrations) == (1, 2)


@pytest.mark.slow
def test_the_survey_tells_positive_rates(mnist_root):
    found = Rates(**rates(State(load_images("MNIST", mnist_root)), ["cpu"], threads=1))
    fixed, per_image = found.step_seconds["cpu"]
    assert 0 < fixed < math.inf
    assert 0 <= per_image < math.inf
    assert 0 < found.loader_seconds_per_image < math.inf


def test_the_quick_plan_times_a_part_of_a_long_epoch_and_the_other_all_of_it():
    loader = "epoch[cpu-b64-fp32-loader]"
    quick, suite = planned("quick").shares["epochs"], planned("suite").shares["epochs"]
    whole = repetition_seconds(changed(workload="epoch", feed="loader"), TRAIN, RATES)
    assert whole > 2 * costs.PART_SECONDS, loader
    assert quick.seconds < quick.processes * quick.rounds * whole < suite.seconds


# What an H200 beside 16 cores showed: 600 us a step on the CPU and 1 ms on the GPU.
WITH_GPU = Rates({"cpu": (600e-6, 0.25e-6), "cuda": (1e-3, 0.35e-6)}, 40e-6)


def on(devices, **chosen):
    """The plan of a step on these devices, with a budget of one's own."""
    return planned(rates=WITH_GPU, device=devices, **{"workload": ["step"], "budget": 20.0, **chosen})


def test_where_nothing_is_forked_fewer_processes_are_started_and_the_plan_says_how_long_they_take(monkeypatch):
    wanted = {"workload": ["step"], "budget": 2.0}
    forked = planned(**wanted)
    monkeypatch.setattr(costs, "FORKS", False)
    fresh = planned(**wanted)
    assert fresh.shares["steps"].processes < forked.shares["steps"].processes
    assert fresh.seconds > fresh.shares["steps"].processes * costs.FRESH_SECONDS


def test_an_accelerator_is_made_ready_in_every_process_and_calibrated_for_longer():
    cpu, cuda = on(["cpu"]), on(["cuda"])
    assert cuda.calibrate_seconds > cpu.calibrate_seconds
    both = on(["cpu", "cuda"])
    starting = both.calibrations * costs.start_seconds()  # of one process for both
    assert both.calibrate_seconds == pytest.approx(cpu.calibrate_seconds + cuda.calibrate_seconds - starting)
    made_ready = {}
    for device in ("cpu", "cuda"):
        share = on([device], workload=["epoch"], epochs=3).shares["epochs"]
        epoch = repetition_seconds(changed(workload="epoch", device=device), TRAIN, WITH_GPU)
        made_ready[device] = share.seconds / share.processes - share.rounds * epoch
    assert made_ready["cuda"] == pytest.approx(made_ready["cpu"] + costs.ACCELERATOR_COSTS.context)


def test_a_gpu_is_woken_in_every_round_that_it_shares_with_another_device():
    members = {name: changed(device=name) for name in ("cpu", "cuda")}
    alone = {"cuda": members["cuda"]}
    assert costs.wake_seconds(members, "steps") == DEVICES["cuda"].wake_seconds > 0
    assert costs.wake_seconds(alone, "steps") == costs.wake_seconds(members, "epochs") == 0


def test_a_captured_step_pays_little_for_what_does_not_depend_on_the_batch():
    eager, captured = (changed(device="cuda", compiler=compiler) for compiler in ("off", "graph"))
    assert repetition_seconds(captured, TRAIN, WITH_GPU) < repetition_seconds(eager, TRAIN, WITH_GPU) / 5
    loaders = [dataclasses.replace(case, workload="epoch", feed="loader") for case in (eager, captured)]
    assert repetition_seconds(loaders[1], TRAIN, WITH_GPU) > TRAIN * 40e-6  # the loader's part stays


def test_a_quick_run_takes_less_of_an_epoch_apart_and_a_thorough_one_reads_the_gpus_energy():
    case = changed(workload="epoch", feed="loader")
    quick, thorough = (costs.observe_seconds(case, TRAIN, thorough, RATES) for thorough in (False, True))
    assert quick <= 3.0 < thorough
    step = changed(device="cuda")
    quick, thorough = (costs.observe_seconds(step, TRAIN, thorough, WITH_GPU) for thorough in (False, True))
    assert thorough == pytest.approx(quick + 100 * repetition_seconds(step, TRAIN, WITH_GPU) + 2.0)
