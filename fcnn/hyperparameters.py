"""The numbers that define the network and its training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hyperparameters:
    """Sizes and rates of the reference; every other size in the program follows from these."""

    input_size: int = 784  # 28 x 28 pixels, flattened
    hidden_size: int = 50
    num_classes: int = 10
    learning_rate: float = 0.001
    batch_size: int = 64
    num_epochs: int = 1


REFERENCE = Hyperparameters()
