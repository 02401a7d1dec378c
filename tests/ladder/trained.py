"""A training of a step of the ladder, on the CPU."""

from bench.ladder.program import CPU


def trained(make, images, epochs=3, seed=4):
    """The weights, and every epoch's mean loss."""
    program = make(images, seed, CPU)
    losses = [program.epoch() for _ in range(epochs)]
    return [weight.detach().clone() for weight in program.weights()], losses


def weights_after(make, images, epochs=3, seed=4):
    return trained(make, images, epochs, seed)[0]
