"""What every model takes and returns. Loops, evaluators and figures know only this file."""

import flax.struct
import jax

from ocgm.errors import InputError


@flax.struct.dataclass
class Latent:
    """A Gaussian posterior and the sample that was decoded.

    Attributes:
      mean, sigma, sample: [B, K, D].
    """

    mean: jax.Array
    sigma: jax.Array
    sample: jax.Array


@flax.struct.dataclass
class Outputs:
    """Result of `model(images, train=...)`.

    Attributes:
      reconstruction: mixture mean, [B, H, W, 3] in [0, 1].
      components: component means, [B, K, H, W, 3] in [0, 1].
      log_masks: inferred log-masks, [B, K, H, W, 1]; attention masks in models that have attention and decoded masks.
      log_masks_decoded: log-masks that the decoder draws, [B, K, H, W, 1]; None in models with one kind of mask.
      slots: latent samples, [B, K, D].
      active_slots: which slots are in use, bool [B, K].
      reconstruction_error: negative log-likelihood, nats an image, [B].
      kl: KL terms by name, nats an image, each [B, K] (one value a slot) or [B].
      latents: posteriors by name.
    """

    reconstruction: jax.Array
    components: jax.Array
    log_masks: jax.Array
    log_masks_decoded: jax.Array | None
    slots: jax.Array
    active_slots: jax.Array
    reconstruction_error: jax.Array
    kl: dict[str, jax.Array]
    latents: dict[str, Latent]


@flax.struct.dataclass
class Sample:
    """Result of `model.sample(batch_size)`: scenes drawn from the prior.

    Attributes:
      images: [B, H, W, 3] in [0, 1].
      components: [B, K, H, W, 3] in [0, 1].
      log_masks: [B, K, H, W, 1].
    """

    images: jax.Array
    components: jax.Array
    log_masks: jax.Array


def check_one_slot(name: str, num_slots: int | None) -> None:
    """Check that nobody asks a model without slots for several.

    Raises:
      InputError: `num_slots` is neither None nor 1.
    """
    if num_slots not in (None, 1):
        raise InputError(f"{name} has one slot; it cannot sample with num_slots={num_slots}.")
