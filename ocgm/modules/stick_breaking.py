"""Stick-breaking: ordered logits to masks that sum to one."""

import chex
import jax
import jax.numpy as jnp


def log_masks_from_logits(logits: jax.Array) -> jax.Array:
    """Each slot takes sigmoid(logit) of what the slots before it left; the last takes what is left.

    log m_k = log sigmoid(l_k) + sum_{j<k} log sigmoid(-l_j), in log space throughout (MONet eq. 2; GENESIS eq. 4). The
    last logit is not used.

    Args:
      logits: [B, K, H, W, 1].

    Returns:
      log-masks, [B, K, H, W, 1].
    """
    chex.assert_rank(logits, 5)
    taken, left = jax.nn.log_sigmoid(logits[:, :-1]), jax.nn.log_sigmoid(-logits[:, :-1])
    log_scope = jnp.cumsum(left, axis=1)
    log_scope = jnp.concatenate([jnp.zeros_like(logits[:, :1]), log_scope], axis=1)
    return jnp.concatenate([log_scope[:, :-1] + taken, log_scope[:, -1:]], axis=1)
