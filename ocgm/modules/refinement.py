"""Iterative refinement: the loss's weights and gradients inside a model, and memory that is bounded in the steps."""

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
    """Return `function` with a backward pass that recomputes it from its arguments instead of keeping its activations.

    `jax.checkpoint` orders the recomputation with barriers, which XLA:CPU removes: it then recomputes all calls at
    once, before the first backward pass, and saves no memory. Here the arguments are made to depend on the cotangents
    instead (docs/notes/refinement.md has figures).

    Args:
      function: function of positional arrays or trees of them. Everything that it differentiates through must be among
        these.
    """

    @jax.custom_vjp
    def run(*arguments):
        return function(*arguments)

    def forward(*arguments):
        return function(*arguments), arguments

    def backward(arguments, cotangents):
        zero = 0.0 * sum(map(jnp.sum, jax.tree.leaves(cotangents)))
        arguments = jax.tree.map(lambda x: x + zero.astype(x.dtype), arguments)
        return jax.vjp(function, *arguments)[1](cotangents)

    run.defvjp(forward, backward)
    return run
