"""Instance colouring stick-breaking process (GENESIS-V2, algorithm 1)."""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ocgm.modules.distributions import clip_straight_through

KERNELS = ("gaussian", "laplacian", "epanechnikov")
# Test-time stopping rule: stop as soon as a new mask would cover less than this many pixels.
MIN_MASK_PIXELS = 20.0
# Log-mask of a slot that is not in use.
LOG_ZERO = -1e10


class StickBreaking(NamedTuple):
    """Result of the process. Masks sum to one over the slots at every pixel.

    Attributes:
      log_masks: [B, K, H, W, 1].
      active_slots: bool [B, K]; all true unless the number of slots is dynamic.
      seeds: index of each step's seed pixel in row-major order, int32 [B, K - 1].
    """

    log_masks: jax.Array
    active_slots: jax.Array
    seeds: jax.Array


def initial_kernel_sigma(kernel: str, num_slots: int) -> float:
    """Return the kernel width that initially gives all slots about the same area (GENESIS-V2 section 3.2)."""
    return {
        "gaussian": 1.0 / (num_slots * math.log(2.0)),
        "laplacian": 1.0 / (math.sqrt(num_slots) * math.log(2.0)),
        "epanechnikov": 2.0 / num_slots,
    }[kernel]


def stick_breaking(
    embeddings: jax.Array,
    seed_scores: jax.Array,
    kernel_sigma: jax.Array,
    *,
    kernel: str,
    num_slots: int,
    dynamic_slots: bool = False,
) -> StickBreaking:
    """Cluster pixel embeddings around seeds that are drawn from the remaining scope.

    Computes in log space. The kernel is clamped to [0.01, 0.99] with a straight-through gradient, as in the authors'
    code and not in the paper, so that a mask never falls below 1 % of the scope.

    Args:
      embeddings: [B, H, W, E].
      seed_scores: random scores in [0, 1), [B, H, W], drawn once per image; the next seed is the pixel with the largest
        product of score and scope.
      kernel_sigma: positive scalar.
      kernel: one of `KERNELS`.
      num_slots: K, the largest number of slots.
      dynamic_slots: stop an image's process where its next mask would cover fewer than 20 pixels, give the
        remaining scope to the slot that would have been next, and mark the later slots as not active. The result for
        an image does not depend on the others.

    Returns:
      `StickBreaking`.
    """
    chex.assert_rank([embeddings, seed_scores], [4, 3])
    chex.assert_equal_shape_prefix([embeddings, seed_scores], 3)
    batch, height, width, _ = embeddings.shape
    flat = embeddings.reshape(batch, height * width, -1)
    scores = seed_scores.reshape(batch, height * width)

    def step(carry, _):
        log_scope, running = carry
        seed = jnp.argmax(scores * jnp.exp(log_scope), axis=1)
        centre = jnp.take_along_axis(flat, seed[:, None, None], axis=1)
        squared_distance = jnp.sum(jnp.square(flat - centre), axis=-1)
        alpha = clip_straight_through(_kernel(kernel, squared_distance, kernel_sigma), 0.01, 0.99)
        log_mask = log_scope + jnp.log(alpha)
        next_log_scope = log_scope + jnp.log1p(-alpha)
        if not dynamic_slots:
            return (next_log_scope, running), (log_mask, running, seed)
        continues = running & (jnp.sum(jnp.exp(log_mask), axis=1) >= MIN_MASK_PIXELS)
        log_mask = jnp.where(continues[:, None], log_mask, log_scope)
        log_mask = jnp.where(running[:, None], log_mask, LOG_ZERO)
        return (next_log_scope, continues), (log_mask, running, seed)

    carry = (jnp.zeros_like(scores), jnp.ones(batch, bool))
    (log_scope, running), (log_masks, active, seeds) = jax.lax.scan(
        step, carry, length=num_slots - 1
    )
    last = jnp.where(running[:, None], log_scope, LOG_ZERO)
    log_masks = jnp.concatenate([log_masks.swapaxes(0, 1), last[:, None]], axis=1)
    active = jnp.concatenate([active.swapaxes(0, 1), running[:, None]], axis=1)
    log_masks = log_masks.reshape(batch, num_slots, height, width, 1)
    return StickBreaking(log_masks, active, seeds.swapaxes(0, 1).astype(jnp.int32))


def _kernel(kernel: str, squared_distance: jax.Array, sigma: jax.Array) -> jax.Array:
    if kernel == "gaussian":
        return jnp.exp(-squared_distance / sigma)
    if kernel == "laplacian":
        distance = jnp.sqrt(clip_straight_through(squared_distance, 1e-10, 1e10))
        return jnp.exp(-distance / sigma)
    return jax.nn.relu(1.0 - squared_distance / sigma)
