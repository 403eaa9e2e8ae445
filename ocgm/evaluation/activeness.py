"""Activeness and traversals: how each dimension of a slot's latent changes the image.

Source: Emami et al., "Efficient iterative amortized inference for learning symmetric and disentangled multi-object
representations" (ICML 2021), section on disentanglement.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ocgm.evaluation.dci import slot_codes
from ocgm.models import calls
from ocgm.models.base import STREAMS, Model, Outputs

# Values of a dimension: the paper's numbers for measuring and for showing.
_NUM_MEASURED, _NUM_SHOWN = 6, 8


def latent_ranges(slots: np.ndarray) -> np.ndarray:
    """Return the smallest and largest value [2, D] of each dimension of sampled latents [N, K, D], over all slots."""
    chex.assert_rank(slots, 3)
    return np.stack([slots.min((0, 1)), slots.max((0, 1))])


def random_slots(num_images: int, num_slots: int, seed: int = 0) -> np.ndarray:
    """Return one random slot for each image, int32 [num_images]."""
    # The model's own streams use the keys before this one.
    key = jax.random.fold_in(jax.random.key(seed), len(STREAMS))
    return jax.device_get(jax.random.randint(key, (num_images,), 0, num_slots))


def activeness(
    model: Model,
    variables: Mapping[str, Any],
    slots: np.ndarray,
    chosen: np.ndarray,
    ranges: np.ndarray,
    batch_size: int = 32,
) -> np.ndarray:
    """Measure how much the image changes as one dimension of one slot goes through its range.

    The dimension takes 6 evenly spaced values, everything else is fixed, and all slots are decoded each time.

    Args:
      model: a model whose latents alone describe a scene.
      variables: its variables.
      slots: sampled latents of N images, [N, K, D].
      chosen: the slot that is changed in each image, int [N].
      ranges: smallest and largest value of each dimension, [2, D].
      batch_size: number of scenes to decode at a time.

    Returns:
      float32 [N, D]: variance of the 6 images (unbiased), averaged over pixels and channels. Means over images rank
      the dimensions.

    Raises:
      InputError: the model cannot decode latents alone.
    """
    chex.assert_rank([slots, chosen, ranges], [3, 1, 2])
    num_images, _, size = slots.shape
    image, dimension = np.divmod(np.arange(num_images * size), size)
    variance = functools.partial(_variance_of_pixels, model, variables)
    arguments = (slots[image], chosen[image], dimension, ranges.T[dimension])
    result = _in_chunks(variance, max(1, batch_size // _NUM_MEASURED), *arguments)
    return result.reshape(num_images, size)


def traverse(
    model: Model,
    variables: Mapping[str, Any],
    slots: np.ndarray,
    slot: int,
    dimensions: np.ndarray,
    ranges: np.ndarray,
    batch_size: int = 32,
) -> np.ndarray:
    """Decode one scene with one dimension of one slot at 8 values, from one end of its range to the other.

    Args:
      model: a model whose latents alone describe a scene.
      variables: its variables.
      slots: latents of the scene, [K, D].
      slot: the slot that is changed.
      dimensions: the dimensions that are changed, one after another, int [R].
      ranges: smallest and largest value of each dimension, [2, D].
      batch_size: number of scenes to decode at a time.

    Returns:
      float32 [R, 8, S, S, 3].

    Raises:
      InputError: the model cannot decode latents alone.
    """
    chex.assert_rank([slots, dimensions, ranges], [2, 1, 2])
    count = len(dimensions)
    pictures = functools.partial(_traversals, model, variables, num_values=_NUM_SHOWN)
    arguments = (np.stack([slots] * count), np.full(count, slot), dimensions, ranges.T[dimensions])
    return _in_chunks(pictures, max(1, batch_size // _NUM_SHOWN), *arguments)


def masks_of_codes(model: Model, variables: Mapping[str, Any], outputs: Outputs) -> jax.Array:
    """Return the log-masks [B, K, H, W, 1] that assign codes to objects.

    These are the attention masks of models that have both kinds; otherwise, as in the paper, the masks that the codes
    decode to.

    Raises:
      InputError: the model cannot decode latents alone.
    """
    if outputs.log_masks_attention is not None:
        return outputs.log_masks_attention
    return calls.decode_slots(model, variables, slot_codes(outputs)).log_masks


def _in_chunks(
    function: Callable[..., jax.Array], chunk: int, *arguments: np.ndarray
) -> np.ndarray:
    """Call a function of arrays [N, ...] with `chunk` rows at a time, so that it is compiled once."""
    count = len(arguments[0])
    rows = np.minimum(np.arange(count + -count % chunk), count - 1).reshape(-1, chunk)
    parts = [function(*(argument[some] for argument in arguments)) for some in rows]
    return np.concatenate(jax.device_get(parts))[:count]


@functools.partial(jax.jit, static_argnames=("model", "num_values"))
def _traversals(model, variables, slots, slot, dimension, ends, num_values):
    """Decode latents [P, K, D] with a dimension of a slot [P] at values in a range [P, 2]: [P, num_values, S, S, 3]."""
    values = jnp.linspace(ends[:, 0], ends[:, 1], num_values, axis=1)
    scenes = jnp.repeat(slots[:, None], num_values, axis=1)
    scenes = jax.vmap(lambda z, k, d, v: z.at[:, k, d].set(v))(scenes, slot, dimension, values)
    scenes = scenes.reshape(-1, *slots.shape[1:])
    pictures = calls.decode_slots(model, variables, scenes).images
    return pictures.reshape(*values.shape, *pictures.shape[1:])


@functools.partial(jax.jit, static_argnames="model")
def _variance_of_pixels(model, variables, *arguments):
    pictures = _traversals(model, variables, *arguments, num_values=_NUM_MEASURED)
    return jnp.mean(jnp.var(pictures, axis=1, ddof=1), axis=(1, 2, 3))
