"""Iterative refinement: gradients of the loss taken inside the model, and memory that is bounded in the steps."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.losses import LossWeights

Tree = Any


def loss_weights(module: nn.Module) -> LossWeights:
    """Return the weights of the loss from the collection `loss_weights` of a top-level module.

    The train step fills it with the objective's present weights. Where it is absent, as in `init`, both are one.
    """
    if not module.has_variable("loss_weights", "beta"):
        return LossWeights(jnp.ones(()), jnp.ones(()))
    return LossWeights(*(module.get_variable("loss_weights", x) for x in LossWeights._fields))


def gradient_scale(batch_size: int, gradient_batch: int) -> float:
    """Return the factor from gradients of a mean over `batch_size` images to those of one over `gradient_batch`.

    `gradient_batch` 0 means `batch_size`.
    """
    return batch_size / (gradient_batch or batch_size)


def loss_with_gradient(
    function: Callable[[Tree, Tree], tuple[jax.Array, Tree]], x: Tree, others: Tree
) -> tuple[jax.Array, Tree, Tree]:
    """Return a loss, its auxiliary results, and its gradient with respect to `x`.

    Only the loss passes gradients on; the other two results are constants. The gradient is taken of constants, so that
    no second derivatives are computed; XLA merges its forward pass with the loss's.

    Args:
      function: (x, others) -> (loss, auxiliary results).
      x: posterior parameters.
      others: everything else that the training loss differentiates through, such as the decoder's parameters.
    """
    loss, aux = function(x, others)
    gradient, _ = jax.grad(function, has_aux=True)(*jax.lax.stop_gradient((x, others)))
    return loss, *jax.lax.stop_gradient((aux, gradient))


def recomputed(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """`function`, whose backward pass evaluates it anew from its arguments instead of keeping what it computed.

    `jax.checkpoint` keeps the order of things with barriers, which XLA:CPU removes before it decides on the order: it
    then evaluates every call anew at once, before the first backward pass, and saves no memory. Here the arguments are
    made to depend on what the backward pass starts from.

    Args:
      function: of positional arrays or trees of them; everything that it differentiates through must be in these.
    """

    @jax.custom_vjp
    def run(*arguments):
        return function(*arguments)

    def forward(*arguments):
        return function(*arguments), arguments

    def backward(arguments, cotangents):
        nothing = 0.0 * sum(map(jnp.sum, jax.tree.leaves(cotangents)))
        arguments = jax.tree.map(lambda x: x + nothing.astype(x.dtype), arguments)
        return jax.vjp(function, *arguments)[1](cotangents)

    run.defvjp(forward, backward)
    return run
