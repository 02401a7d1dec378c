import pytest
import torch

from fcnn import device as device_module
from fcnn.device import DeviceError, choose_device
from fcnn.hyperparameters import Hyperparameters
from fcnn.model import FCNN, check_shapes


def test_the_hyperparameters_are_the_tutorials():
    h = Hyperparameters()
    assert (h.input_size, h.hidden_size, h.num_classes) == (784, 50, 10)
    assert (h.learning_rate, h.batch_size, h.num_epochs) == (0.001, 64, 1)


def test_the_network_has_the_layers_and_parameters_of_the_reference():
    model = FCNN()
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes == {"fc1.weight": (50, 784), "fc1.bias": (50,), "fc2.weight": (10, 50), "fc2.bias": (10,)}
    assert sum(p.numel() for p in model.parameters()) == 39_760


def test_scores_are_raw():
    model = FCNN().double()
    x = torch.rand(3, 784, dtype=torch.float64)
    hidden = torch.clamp(x @ model.fc1.weight.T + model.fc1.bias, min=0)
    assert torch.allclose(model(x), hidden @ model.fc2.weight.T + model.fc2.bias)


def test_shape_check_passes_the_reference_and_names_a_fault():
    model = FCNN()
    check_shapes(model)
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ValueError, match=r"turns \[64, 784\] images into \[64, 7\], not into \[64, 10\] scores"):
        check_shapes(FCNN(num_classes=7))
    with pytest.raises(ValueError, match=r"does not take \[64, 784\] images"):
        check_shapes(FCNN(input_size=100))


def test_memory_that_does_not_suffice_is_no_fault_of_the_model():
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    model = FCNN()
    model.forward = full
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        check_shapes(model)


@pytest.fixture
def machine(monkeypatch):
    """Pretends to a machine with this accelerator, as far as choosing goes."""

    def pretend(kind: str | None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: kind and torch.device(kind))
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: int(kind is not None))

    return pretend


@pytest.mark.parametrize(("here", "best"), [("cuda", "cuda"), ("mps", "mps"), ("xpu", "xpu"), (None, "cpu")])
def test_the_best_device_is_cuda_then_another_accelerator_then_the_cpu(machine, here, best):
    machine(here)
    assert choose_device().type == best
    assert choose_device("cpu").type == "cpu"
    assert choose_device(best).type == best


def test_a_device_that_is_not_here_or_not_known_is_one_clear_line(machine):
    machine(None)
    with pytest.raises(DeviceError, match="'cuda' is not available here; the best one is 'cpu'"):
        choose_device("cuda")
    with pytest.raises(DeviceError, match="no device called 'tpu'"):
        choose_device("tpu")
    machine("cuda")
    with pytest.raises(DeviceError, match="'cuda:1' is not available"):
        choose_device("cuda:1")
    assert device_module.choose_device("cuda:0").index == 0
