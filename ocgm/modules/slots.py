"""Networks of one slot, run on all slots."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def over_slots(decoder: type[nn.Module]) -> type[nn.Module]:
    """Return a decoder with the same weights for every slot: [B, K, D] -> [B, K, H, W, out_features]."""
    return nn.vmap(
        decoder,
        variable_axes={"params": None},
        split_rngs={"params": False},
        in_axes=1,
        out_axes=1,
    )


def fold_slots(network: Callable[[jax.Array], Any], x: jax.Array) -> jax.Array:
    """Run a network with the slots folded into the batch: [B, K, ...] -> [B, K, ...], at least float32.

    Unlike `over_slots` this takes batch statistics over all slots.
    """
    batch, num_slots = x.shape[:2]
    y = network(x.reshape(batch * num_slots, *x.shape[2:]))
    y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
    return y.reshape(batch, num_slots, *y.shape[1:])
