"""Spatial mixtures of logistic distributions, IODINE's pixel likelihood."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm import losses


class Pixels(NamedTuple):
    """Likelihood of images under a mixture, pixel by pixel.

    Attributes:
      components: means of the components, [B, K, S, S, 3]; they may leave [0, 1].
      mask_logits: [B, K, S, S, 1].
      log_masks: their log-softmax over the slots, [B, K, S, S, 1].
      log_density: log density of each pixel under each component alone, its channels taken together, [B, K, S, S, 1].
      log_likelihood: log-likelihood of each pixel under the mixture, [B, 1, S, S, 1].
    """

    components: jax.Array
    mask_logits: jax.Array
    log_masks: jax.Array
    log_density: jax.Array
    log_likelihood: jax.Array

    @property
    def error(self) -> jax.Array:
        """Negative log-likelihood, [B] nats."""
        return -jnp.sum(self.log_likelihood, axis=(1, 2, 3, 4))

    @property
    def responsibilities(self) -> jax.Array:
        """Posterior of each pixel's slot under a uniform prior, [B, K, S, S, 1]; 0 where no component fits."""
        density = jnp.exp(self.log_density)
        return density / (jnp.sum(density, axis=1, keepdims=True) + 1e-6)

    @property
    def counterfactual(self) -> jax.Array:
        """Log-likelihood minus the one of the mixture without slot k, [B, K, S, S, 1]."""
        # [slot that is left out, slot that is summed over]
        others = ~jnp.eye(self.log_masks.shape[1], dtype=bool)[..., None, None, None]

        def sum_over_others(x):
            return nn.logsumexp(jnp.where(others, x[:, None], -jnp.inf), axis=2)

        joint = sum_over_others(self.log_masks + self.log_density)
        return self.log_likelihood - (joint - sum_over_others(self.log_masks))


def explain(images: jax.Array, decoded: jax.Array, pixel_scale: float) -> Pixels:
    """Compute the likelihood of images [B, S, S, 3] under a decoder's output [B, K, S, S, 4].

    The output holds the mask logit, then the mean of a logistic distribution with scale `pixel_scale`.
    """
    mask_logits, components = decoded[..., :1], decoded[..., 1:]
    log_masks = nn.log_softmax(mask_logits, axis=1)
    log_density = losses.logistic_log_density(images[:, None], components, pixel_scale)
    log_density = jnp.sum(log_density, axis=-1, keepdims=True)
    log_likelihood = nn.logsumexp(log_masks + log_density, axis=1, keepdims=True)
    return Pixels(components, mask_logits, log_masks, log_density, log_likelihood)
