"""The network: two fully connected layers with a ReLU between them."""

import torch
from torch import Tensor, nn

from fcnn.hyperparameters import REFERENCE


class FCNN(nn.Module):
    """Images in, one raw score a class out; no softmax, because the loss function brings its own."""

    def __init__(
        self,
        input_size: int = REFERENCE.input_size,
        hidden_size: int = REFERENCE.hidden_size,
        num_classes: int = REFERENCE.num_classes,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden_size, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores [batch, num_classes] of flat images [batch, input_size]."""
        return self.fc2(self.relu(self.fc1(images)))  # type: ignore[no-any-return]


def check_shapes(
    model: nn.Module,
    batch_size: int = REFERENCE.batch_size,
    input_size: int = REFERENCE.input_size,
    num_classes: int = REFERENCE.num_classes,
) -> None:
    """Sends a dummy batch through `model`, so that a wrong layer is found before the training and not in it.

    Raises:
        ValueError: The scores of a [batch_size, input_size] batch are not [batch_size, num_classes].
    """
    parameter = next(model.parameters())
    dummy = torch.zeros(batch_size, input_size, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.no_grad():
            shape = tuple(model(dummy).shape)
    except torch.OutOfMemoryError:  # which is one, and says nothing of the model
        raise
    except RuntimeError as error:
        raise ValueError(f"the model does not take [{batch_size}, {input_size}] images: {error}") from error
    if shape != (batch_size, num_classes):
        raise ValueError(f"the model turns [{batch_size}, {input_size}] images into {list(shape)}, "
                         f"not into [{batch_size}, {num_classes}] scores")  # fmt: skip
