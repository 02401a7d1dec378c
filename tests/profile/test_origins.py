"""What each call of real steps comes from: lines, arithmetic, memory."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.axes.case import parse_id
from bench.measure.counters import flops_of
from bench.profile import tracing
from bench.profile.arithmetic import flops_by_event, flops_of_calls
from bench.profile.events import BETWEEN, Overhead, Ranges, operators, settled
from bench.profile.origins import origins
from bench.profile.steps import MarkedSteps
from tests.data.images import embedded
from tests.profile.real import ROOT, steps_of_case

NOTHING = Overhead(0.0, 0.0, 0.0)


def operators_of(case, steps, count=3):
    traced = tracing.trace(case, steps, count, None)
    ranges = Ranges(traced.events, steps.parts, count)
    host = settled(traced.events, ranges, steps.parts)
    whole = sum(end - begin for begin, end in ranges.steps) / count
    return operators(host, ranges, steps.parts, origins(case, steps, ROOT / "fcnn"), NOTHING), whole


def test_operators_are_in_their_parts_with_lines_flops_and_bytes():
    found, whole = operators_of(*steps_of_case("step[cpu-b64-fp32]", embedded()))
    by_name = {(o.phase, o.name): o for o in found}
    addmm, mm = by_name["forward", "aten::addmm"], by_name["backward", "aten::mm"]
    assert (addmm.calls, addmm.flops) == (2, 5_081_600)
    assert (mm.calls, mm.flops) == (3, 5_145_600)
    assert sum(o.flops for o in found) == 10_227_200
    assert addmm.line.startswith("model.py:")
    assert mm.line.startswith("train.py:")
    assert mm.line.endswith(" backward")
    assert addmm.allocated_bytes == 64 * (50 + 10) * 4
    assert ("optimizer", BETWEEN) in by_name
    assert sum(o.self_seconds for o in found) <= whole


def convolving(scope=torch.enable_grad):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8 * 24 * 24, 2))
    images = torch.ones(4, 1, 28, 28)

    def step():
        with scope():
            loss = model(images).sum()
            if loss.requires_grad:
                loss.backward()

    return step


def test_the_arithmetic_of_convolutions_is_all_in_some_row():
    step = convolving()

    def run(mark, count):
        for _ in range(count):
            step()
            mark("step")

    found, _ = operators_of(parse_id("step[cpu-b64-fp32-t1]"), MarkedSteps(("step",), run))
    assert sum(o.flops for o in found) == flops_of(step)
    assert sum(o.flops for o in found if "conv" in o.name) > sum(o.flops for o in found if "mm" in o.name) > 0


def call(name, begin, own, *children, device=0):
    made = SimpleNamespace(
        name=name,
        time_range=SimpleNamespace(start=begin),
        self_cpu_time_total=own,
        self_device_time_total=device,
        cpu_children=children,
        cpu_parent=None,
    )
    for child in children:
        child.cpu_parent = made
    return made


def step_of_calls(begin, slow=0, device=0):
    """A convolution of three calls, one within the other, the last of which works; and a product."""
    inner = call("aten::cudnn_convolution", begin + 2, 20, device=device)
    middle = call("aten::_convolution", begin + 1, 3 + slow, inner)
    return [call("aten::convolution", begin, 5, middle), middle, inner, call("aten::mm", begin + 30, 7)]


def names_of(events, known, steps):
    flops = flops_by_event(events, known, steps)
    return [(event.name, flops[id(event)]) for event in events if flops[id(event)]]


KNOWN = {"aten::convolution": [600], "aten::_convolution": [], "aten::mm": [70]}
ONE = [("aten::cudnn_convolution", 600), ("aten::mm", 70)]


def test_the_arithmetic_of_a_call_is_where_its_time_is():
    # In the second step the machine did something else in the middle.
    events = [*step_of_calls(0), *step_of_calls(100, slow=50)]
    assert names_of(events, KNOWN, 2) == ONE * 2


def test_on_a_device_it_is_where_the_device_works():
    assert names_of(step_of_calls(0, slow=50, device=1), KNOWN, 1) == ONE


def test_calls_of_another_number_are_other_calls():
    assert names_of(step_of_calls(0), {"aten::convolution": [600], "aten::mm": [35, 35]}, 1) == ONE[:1]


@pytest.mark.parametrize("scope", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_calls_are_watched_as_those_who_count_do(scope):
    step = convolving(scope)
    calls = flops_of_calls(step)
    assert sum(map(sum, calls.values())) == flops_of(step)
    assert len(calls["aten::convolution"]) == 2
