"""Iterative refinement: gradients of the loss with respect to posterior parameters, taken inside the model."""

from collections.abc import Callable
from typing import Any

import jax

Tree = Any


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
