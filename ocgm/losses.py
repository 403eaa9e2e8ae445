"""Mixtures, likelihoods and divergences: pure functions on arrays, no reduction over the batch."""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

_LOG_2PI = math.log(2.0 * math.pi)


class LossWeights(NamedTuple):
    """Weights of the loss error_weight * reconstruction error + beta * KL; scalars."""

    error_weight: jax.Array
    beta: jax.Array


def gaussian_log_density(
    x: jax.Array, mean: jax.Array | float, sigma: jax.Array | float
) -> jax.Array:
    """Return the element-wise log N(x; mean, sigma), constants included, in nats."""
    return -0.5 * jnp.square((x - mean) / sigma) - jnp.log(sigma) - 0.5 * _LOG_2PI


def logistic_log_density(x: jax.Array, mean: jax.Array, scale: float) -> jax.Array:
    """Return the element-wise log density, in nats, of a logistic distribution (sigma = scale * pi / sqrt(3))."""
    u = (x - mean) / scale
    return -u - 2.0 * jax.nn.softplus(-u) - math.log(scale)


def mixture_mean(components: jax.Array, log_masks: jax.Array) -> jax.Array:
    """Return the mean [B, H, W, C] of a mixture of components [B, K, H, W, C] with log weights [B, K, H, W, 1]."""
    return jnp.sum(jnp.exp(log_masks) * components, axis=1)


def mixture_negative_log_likelihood(
    images: jax.Array,
    components: jax.Array,
    log_masks: jax.Array,
    sigma: float | tuple[float, ...],
) -> jax.Array:
    """Return the negative log-likelihood of a spatial Gaussian mixture, in nats per image.

    Every pixel *and channel* has a mixture of its own, as in the authors' code. Two slots can therefore share the
    colour of one object, each correct in some channels; `pixel_mixture_negative_log_likelihood` does not allow that.

    Args:
      images: [B, H, W, C].
      components: component means, [B, K, H, W, C].
      log_masks: log mixing weights, [B, K, H, W, 1].
      sigma: standard deviation of every component, or one for each slot.

    Returns:
      [B].
    """
    log_density = _component_log_density(images, components, log_masks, sigma)
    log_likelihood = jax.nn.logsumexp(log_masks + log_density, axis=1)
    return -jnp.sum(log_likelihood, axis=(1, 2, 3))


def pixel_mixture_negative_log_likelihood(
    images: jax.Array,
    components: jax.Array,
    log_masks: jax.Array,
    sigma: float | tuple[float, ...],
) -> jax.Array:
    """Return the same of a mixture for each pixel, as the papers write it (GENESIS, equation 2).

    One slot explains all channels of a pixel. Arguments and result are those of `mixture_negative_log_likelihood`.
    """
    log_density = _component_log_density(images, components, log_masks, sigma)
    log_density = jnp.sum(log_density, axis=-1, keepdims=True)
    log_likelihood = jax.nn.logsumexp(log_masks + log_density, axis=1)
    return -jnp.sum(log_likelihood, axis=(1, 2, 3))


def _component_log_density(
    images: jax.Array,
    components: jax.Array,
    log_masks: jax.Array,
    sigma: float | tuple[float, ...],
) -> jax.Array:
    """Return the log density [B, K, H, W, C] of images under each component."""
    chex.assert_rank([images, components, log_masks], [4, 5, 5])
    chex.assert_equal_shape_prefix([components, log_masks], 4)
    scale = jnp.asarray(sigma, components.dtype)
    if scale.ndim:
        chex.assert_shape(scale, (components.shape[1],))
        scale = scale[None, :, None, None, None]
    return gaussian_log_density(images[:, None], components, scale)


def gaussian_negative_log_likelihood(
    images: jax.Array, components: jax.Array, log_masks: jax.Array, sigma: float
) -> jax.Array:
    """Return the negative log-likelihood under one Gaussian around the mixture's mean, in nats per image.

    Arguments and result are those of `mixture_negative_log_likelihood`.
    """
    mean = mixture_mean(components, log_masks)
    chex.assert_equal_shape([images, mean])
    return -jnp.sum(gaussian_log_density(images, mean, sigma), axis=(1, 2, 3))


# Likelihoods of images that models can choose from.
MIXTURES = {
    "mixture": mixture_negative_log_likelihood,
    "pixel": pixel_mixture_negative_log_likelihood,
}
LIKELIHOODS = MIXTURES | {"gaussian": gaussian_negative_log_likelihood}


def without_constant(error: jax.Array, images: jax.Array) -> jax.Array:
    """Return a Gaussian negative log-likelihood [B] of images without its terms log(2 pi) / 2."""
    return error - 0.5 * _LOG_2PI * images[0].size


def monte_carlo_kl(
    sample: jax.Array,
    mean: jax.Array,
    sigma: jax.Array,
    prior_mean: jax.Array | float = 0.0,
    prior_sigma: jax.Array | float = 1.0,
) -> jax.Array:
    """Return the one-sample estimate log q(z) - log p(z) of KL(q || p), summed over the last axis, in nats.

    Args:
      sample: z ~ q, [..., D]; the sample that is decoded.
      mean, sigma: parameters of q, [..., D].
      prior_mean, prior_sigma: parameters of p, [..., D] or scalars.

    Returns:
      [...].
    """
    log_q = gaussian_log_density(sample, mean, sigma)
    log_p = gaussian_log_density(sample, prior_mean, prior_sigma)
    return jnp.sum(log_q - log_p, axis=-1)


def gaussian_kl(
    mean: jax.Array,
    sigma: jax.Array,
    prior_mean: jax.Array | float = 0.0,
    prior_sigma: jax.Array | float = 1.0,
) -> jax.Array:
    """Return KL(N(mean, sigma) || prior) of diagonal Gaussians in closed form: [..., D] -> [...] nats."""
    ratio = sigma / prior_sigma
    distance = (mean - prior_mean) / prior_sigma
    return 0.5 * jnp.sum(distance**2 + ratio**2 - 1.0 - 2.0 * jnp.log(ratio), axis=-1)


def categorical_mask_kl(
    log_masks: jax.Array, log_masks_target: jax.Array, active_slots: jax.Array
) -> jax.Array:
    """Return KL(m || m') between two sets of masks, summed over pixels, in nats per image.

    Both are first floored at 1e-5 and renormalised over the slots. This is MONet's mask term and GENESIS-V2's mask
    loss, whose caller stops the gradient of the target.

    Args:
      log_masks, log_masks_target: [B, K, H, W, 1].
      active_slots: slots that take part, bool [B, K].

    Returns:
      [B].
    """
    chex.assert_equal_shape([log_masks, log_masks_target])
    chex.assert_rank(log_masks, 5)
    chex.assert_shape(active_slots, log_masks.shape[:2])
    active = active_slots[..., None, None, None]

    def floor(log_masks: jax.Array) -> jax.Array:
        masks = jnp.maximum(jnp.exp(log_masks), 1e-5)
        return masks / jnp.sum(masks, axis=1, keepdims=True, where=active)

    p, q = floor(log_masks), floor(log_masks_target)
    return jnp.sum(p * (jnp.log(p) - jnp.log(q)), axis=(1, 2, 3, 4), where=active)
