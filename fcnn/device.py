"""Where to compute: CUDA if there is one, else another accelerator, else the CPU."""

import torch


class DeviceError(ValueError):
    """A device that torch does not know or that is not here. The message is for the user."""


def choose_device(name: str | None = None) -> torch.device:
    """The device called `name`, or the best one here.

    Raises:
        DeviceError: There is no such device, or not on this machine.
    """
    if name is None:
        return _best_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"there is no device called {name!r}; try cpu or cuda") from None
    if device.type != "cpu":
        here = _best_device()
        count = torch.accelerator.device_count() if here.type == device.type else 0
        if (device.index or 0) >= count:
            raise DeviceError(f"device {name!r} is not available here; the best one is {here.type!r}")
    return device


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.accelerator.is_available() and (other := torch.accelerator.current_accelerator()):
        return torch.device(other.type)
    return torch.device("cpu")
