import dataclasses

import pytest
import torch

from bench.measure.counters import _Watch, growth_bytes, profiled_calls, saved_tensor_bytes
from fcnn.train import compute_loss, flatten, forward, train_step
from tests.commands import Command
from tests.measure.steps import counters_of, random_batch, random_step

# Of the plain step at batch 64: two forward products, two for the weights' gradients, one for the hidden layer's.
FORWARD_FLOPS = 2 * 64 * 50 * (784 + 10)
BACKWARD_FLOPS = FORWARD_FLOPS + 2 * 64 * 50 * 10
PARAMETER_BYTES = 4 * (784 * 50 + 50 + 50 * 10 + 10)
# Kept for the backward pass: the images, the hidden layer, the scores' log-softmax, the labels, and the loss's weight.
SAVED_BYTES = 4 * 64 * (784 + 50 + 10) + 8 * 64 + 4


@pytest.fixture(scope="module")
def plain():
    training, step = random_step()
    return counters_of(step, training)


def differences(counters, plain) -> dict[str, object]:
    """The fields in which they differ, calls by name; missing calls are 0."""
    found = {}
    for name, value in dataclasses.asdict(counters).items():
        before = getattr(plain, name)
        if name == "aten_calls":
            found |= {
                call: value.get(call, 0) - before.get(call, 0)
                for call in value.keys() | before.keys()
                if value.get(call, 0) != before.get(call, 0)
            }
        elif value != before:
            found[name] = value - before
    return found


def test_flops_of_a_step_are_those_of_its_five_matrix_products(plain):
    training, _ = random_step()
    images, labels = random_batch()

    def loss():
        return compute_loss(training, forward(training, flatten(images)), labels)

    assert counters_of(loss, training).flops == FORWARD_FLOPS == 5_081_600
    assert plain.flops - FORWARD_FLOPS == BACKWARD_FLOPS == 5_145_600
    assert plain.flops == 10_227_200


def test_calls_are_named_with_the_type_they_compute_in(plain):
    expected = {"aten::addmm float32": 2, "aten::mm float32": 3, "aten::relu float32": 1, "aten::addcdiv_ float32": 4}
    assert {name: plain.aten_calls[name] for name in expected} == expected
    assert {name.partition(" ")[2] for name in plain.aten_calls} <= {"float32", "int64", ""}
    assert list(plain.aten_calls) == sorted(plain.aten_calls)


def test_bytes_are_those_of_the_network(plain):
    assert plain.parameter_bytes == plain.gradient_bytes == PARAMETER_BYTES == 159_040
    # Two moments a parameter, and a count of steps for each of the four tensors.
    assert plain.optimizer_state_bytes == 2 * PARAMETER_BYTES + 4 * 4 == 318_096
    assert plain.saved_tensor_bytes == SAVED_BYTES


def test_counting_again_gives_the_same(plain):
    training, step = random_step()
    assert counters_of(step, training) == counters_of(step, training) == plain


def test_peak_and_allocations_follow_from_what_is_kept(plain):
    # The old gradients are freed first; at the end of the backward pass all new ones are there at once.
    assert plain.gradient_bytes <= plain.peak_allocated_bytes <= plain.gradient_bytes + 2 * SAVED_BYTES
    assert 10 < plain.allocations <= sum(plain.aten_calls.values())
    assert (plain.host_device_copies, plain.host_device_copied_bytes) == (0, 0)
    assert (plain.kernels_launched, plain.cuda_graph_launches) == (None, None)


def test_a_larger_batch_computes_more_with_the_same_calls(plain):
    training, step = random_step(128)
    found = counters_of(step, training)
    assert found.aten_calls == plain.aten_calls
    assert found.flops == 2 * plain.flops
    assert found.optimizer_state_bytes == plain.optimizer_state_bytes


def test_an_extra_clone_is_one_call_and_one_allocation_more(plain):
    training, _ = random_step()
    images, labels = random_batch()
    found = counters_of(lambda: train_step(training, images.clone(), labels), training)
    # The copy is alive while all else is, and is not kept twice for the backward pass.
    image_bytes = images.numel() * 4
    assert differences(found, plain) == {
        "aten::clone float32": 1,
        "allocations": 1,
        "peak_allocated_bytes": image_bytes,
    }


def test_reading_the_loss_is_one_synchronisation_more(plain):
    training, step = random_step()
    found = counters_of(lambda: step().item(), training)
    assert differences(found, plain) == {"aten::_local_scalar_dense float32": 1, "host_synchronisations": 1}


def test_reading_what_is_on_the_host_waits_for_no_gpu():
    with _Watch("cuda") as watch:
        torch.ones(()).item()
    assert watch.calls["aten::_local_scalar_dense float32"] == 1
    assert watch.synchronisations == 0


def test_a_copy_to_another_device_is_counted_with_its_bytes():
    # The meta device stands for an accelerator: it has no memory, but the call is the same.
    with _Watch("meta") as watch:
        torch.ones(3, 5).to("meta")
        torch.empty(7, device="meta").copy_(torch.ones(7))
        torch.ones(2).to(torch.float64)
    assert (watch.copies, watch.copied_bytes) == (2, 4 * (15 + 7))
    assert watch.synchronisations == 0  # only the way back makes the host wait


def test_an_upcast_to_float64_shows_in_types_and_bytes(plain):
    training, _ = random_step()
    images, labels = random_batch()

    def step():
        scores = forward(training, flatten(images)).double()
        training.optimizer.zero_grad()
        compute_loss(training, scores, labels).backward()
        training.optimizer.step()

    found = differences(counters_of(step, training), plain)
    assert found["aten::_to_copy float64"] == 1  # and one back, for the gradient
    assert found["aten::_to_copy float32"] == 1
    assert found["aten::_log_softmax float64"] == 1
    assert found["aten::_log_softmax float32"] == -1
    assert found["saved_tensor_bytes"] == 4 * 64 * 10 + 4  # the log-softmax and the loss's weight are twice as large
    assert "flops" not in found


@pytest.mark.slow
def test_losses_kept_with_their_graph_are_a_leak_and_a_plain_step_has_none():
    training, step = random_step()
    images, labels = random_batch()
    kept = []

    def leaking():
        training.optimizer.zero_grad()
        loss = compute_loss(training, forward(training, flatten(images)), labels)
        loss.backward(retain_graph=True)
        training.optimizer.step()
        kept.append(loss)

    assert counters_of(step, training, growth=True).growth_bytes == 0
    assert counters_of(step, training).growth_bytes is None  # not asked for
    # Each keeps at least what its forward pass made: the hidden layer, the scores' log-softmax, the loss.
    assert growth_bytes(leaking, 10) >= 10 * 4 * 64 * (50 + 10)


def test_losses_kept_without_their_graph_leak_a_number_each():
    _, step = random_step()
    kept = []
    assert growth_bytes(lambda: kept.append(step()), 10) == 10 * 4


def test_what_is_kept_for_backward_is_the_batch_and_not_the_images_it_is_cut_from():
    training, _ = random_step()
    images, labels = random_batch(640)

    def step():
        train_step(training, images[64:128], labels[64:128])

    assert saved_tensor_bytes(step, list(training.model.parameters())) == SAVED_BYTES


def test_nothing_is_kept_where_no_gradient_is_wanted():
    training, _ = random_step()
    images, _ = random_batch()

    def score():
        with torch.no_grad():
            forward(training, flatten(images))

    assert saved_tensor_bytes(score, list(training.model.parameters())) == 0


def test_bfloat16_products_and_copies_are_told_by_their_type():
    training, step = random_step(amp_dtype=torch.bfloat16)
    found = counters_of(step, training)
    products = {name for name in found.aten_calls if name.startswith(("aten::addmm", "aten::mm"))}
    assert products == {"aten::addmm bfloat16", "aten::mm bfloat16"}
    assert found.flops == 10_227_200
    assert found.parameter_bytes == PARAMETER_BYTES


def test_the_fused_optimizer_is_one_call_in_place_of_many(plain):
    training, step = random_step(optimizer_options={"fused": True})
    found = counters_of(step, training)
    assert sum(found.aten_calls.values()) < sum(plain.aten_calls.values()) - 20
    assert [n for name, n in found.aten_calls.items() if "fused_adam" in name] == [1]


def test_a_profile_tells_the_outermost_calls():
    # The addmm and the views that nn.Linear needs are inside of aten::linear, not beside it.
    model, images = torch.nn.Linear(8, 4), torch.ones(2, 8)
    with torch.no_grad():
        assert profiled_calls(lambda: model(images).add_(1)) == {"aten::linear": 1, "aten::add_": 1}


@pytest.mark.slow
def test_a_profile_says_nothing_on_the_terminal(tmp_path):
    code = "from bench.measure.counters import profiled_calls\nimport torch\nprofiled_calls(lambda: torch.ones(2) + 1)"
    ended = Command(code, folder=tmp_path, without=["KINETO_LOG_LEVEL"]).end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")
