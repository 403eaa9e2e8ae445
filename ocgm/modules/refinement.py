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


def loss_with_gradient(
    function: Callable[[Tree, Tree], tuple[jax.Array, Tree]], x: Tree, others: Tree
) -> tuple[jax.Array, Tree, Tree]:
    """Value of a loss, what else it computed, and its gradient with respect to `x`.

    Only the loss passes gradients on; the other two results are constants. So the one backward pass that makes the
    gradient for the refinement also is the loss's part of the training gradient: it is not made twice, and all that is
    kept for later is gradients as large as `x` and `others`, not the activations of a decoder. Memory thus hardly
    grows with the number of refinement steps, without computing anything again.

    Args:
      function: (x, others) -> (loss, auxiliary results); everything that it differentiates through must be in its
        arguments.
      x: posterior parameters.
      others: everything else, such as the decoder's parameters.
    """

    @jax.custom_vjp
    def evaluate(x, others):
        (loss, aux), gradient = jax.value_and_grad(function, has_aux=True)(x, others)
        return loss, aux, gradient

    def forward(x, others):
        differentiate = jax.value_and_grad(function, argnums=(0, 1), has_aux=True)
        (loss, aux), gradients = differentiate(x, others)
        return (loss, aux, gradients[0]), gradients

    def backward(gradients, cotangents):
        return jax.tree.map(lambda gradient: cotangents[0] * gradient, gradients)

    evaluate.defvjp(forward, backward)
    loss, aux, gradient = evaluate(x, others)
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
