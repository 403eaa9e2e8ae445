"""Stick-breaking: ordered logits to masks that sum to one."""

import chex
import jax
import jax.numpy as jnp


def log_masks_from_logits(logits: jax.Array) -> jax.Array:
    """Return the masks of a stick-breaking process: slot k takes sigmoid(l_k) of the scope that slots before it left.

    log m_k = log sigmoid(l_k) + sum_{j<k} log sigmoid(-l_j) (MONet eq. 2; GENESIS eq. 4). The last slot takes the
    remaining scope; its logit is not used.

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
