"""Other libraries at the same training: same images, initial weights, batch, learning rate and epochs."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.ladder.program import (
    BATCH_SIZE,
    BETAS,
    CPU,
    EPSILON,
    LEARNING_RATE,
    FreshTraining,
    flat_images,
    order,
    parameters,
    steps_of,
)
from fcnn.data import Images


def missing(module: str, install: str) -> Callable[[], str | None]:
    """Tells why a peer cannot run here; `install` is what follows `pip install`."""
    return lambda: None if importlib.util.find_spec(module) else f"{module} is not installed: pip install {install}"


def scikit_learn(images: Images, seed: int, device: torch.device = CPU) -> FreshTraining:
    """`MLPClassifier` in float32, which halves the bytes; its defaults compute in what the images are.

    It knows no GPU and computes on the CPU, whatever `device` says.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    pixels, labels = (tensor.numpy() for tensor in flat_images(images))
    network = MLPClassifier(
        hidden_layer_sizes=(50,), batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE, beta_1=BETAS[0],
        beta_2=BETAS[1], epsilon=EPSILON, alpha=0.0, max_iter=1, shuffle=True, random_state=seed, warm_start=True,
    )  # fmt: skip

    def fit(count: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch is what was asked for
            return float(network.fit(pixels[:count], labels[:count]).loss_)

    fit(BATCH_SIZE * 10)  # makes the arrays, which then get the reference's initial weights; fit starts Adam anew
    w1, b1, w2, b2 = (weight.numpy() for weight in parameters(seed))
    network.coefs_ = [np.ascontiguousarray(w1.T), np.ascontiguousarray(w2.T)]
    network.intercepts_ = [b1.copy(), b2.copy()]

    def weights() -> list[torch.Tensor]:
        (c1, c2), (i1, i2) = network.coefs_, network.intercepts_
        return [torch.as_tensor(np.ascontiguousarray(array)) for array in (c1.T, i1, c2.T, i2)]

    return FreshTraining(lambda: fit(len(labels)), weights)


def jax_scan(images: Images, seed: int, device: torch.device = CPU) -> FreshTraining:
    """JAX with `jit` around a `scan` over all steps of an epoch: the whole of it is one compiled program."""
    import jax
    import jax.numpy as jnp

    # The process that asked is to have no other device, not even for what is made on the way.
    jax.config.update("jax_default_device", jax.devices(device.type)[0])
    jax.config.update("jax_default_matmul_precision", "highest")  # on a GPU it would take TF32, as no step does
    pixels, labels = (jnp.asarray(tensor.numpy()) for tensor in flat_images(images))
    count = len(labels)
    whole = count // BATCH_SIZE * BATCH_SIZE
    weights = tuple(jnp.asarray(weight.numpy()) for weight in parameters(seed))
    zeros = tuple(jnp.zeros_like(weight) for weight in weights)
    epoch_of = _jax_epoch(count, whole)
    generator = torch.Generator().manual_seed(seed)
    state: list[Any] = [(weights, zeros, zeros, jnp.zeros((), jnp.int32))]

    def epoch() -> float:
        shuffled = jnp.asarray(order(count, generator).numpy())
        state[0], total = jax.block_until_ready(epoch_of(state[0], pixels, labels, shuffled))
        return float(total) / steps_of(count)

    return FreshTraining(epoch, lambda: [torch.as_tensor(np.array(weight)) for weight in state[0][0]])


_jax_epochs: dict[tuple[int, int], Any] = {}


def _jax_epoch(count: int, whole: int) -> Any:
    """The compiled epoch for so many images; one for all seeds, so that only the first pays for compiling."""
    if (count, whole) in _jax_epochs:
        return _jax_epochs[count, whole]
    import jax
    import jax.numpy as jnp

    def loss(weights: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = weights
        scores = jax.nn.relu(x @ w1.T + b1) @ w2.T + b2
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1))

    def step(state: Any, x: Any, y: Any) -> Any:
        weights, first, second, steps = state
        mean_loss, gradients = jax.value_and_grad(loss)(weights, x, y)
        steps = steps + 1
        m = jax.tree.map(lambda a, g: a + (1 - BETAS[0]) * (g - a), first, gradients)
        v = jax.tree.map(lambda a, g: BETAS[1] * a + (1 - BETAS[1]) * g * g, second, gradients)
        size, scale = LEARNING_RATE / (1 - BETAS[0] ** steps), 1 / jnp.sqrt(1 - BETAS[1] ** steps)
        new = jax.tree.map(lambda w, a, b: w - size * a / (jnp.sqrt(b) * scale + EPSILON), weights, m, v)
        return (new, m, v, steps), mean_loss

    @jax.jit  # type: ignore[untyped-decorator, unused-ignore]
    def epoch(state: Any, pixels: Any, labels: Any, shuffled: Any) -> Any:
        def one(state: Any, chosen: Any) -> Any:
            return step(state, pixels[chosen], labels[chosen])

        state, losses = jax.lax.scan(one, state, shuffled[:whole].reshape(-1, BATCH_SIZE))
        total = losses.sum()
        if whole < count:
            state, mean_loss = one(state, shuffled[whole:])
            total += mean_loss
        return state, total

    _jax_epochs[count, whole] = epoch
    return epoch
