"""What every model takes and returns. Loops, evaluators and figures know only this file."""

from typing import Protocol

import flax.struct
import jax
import jax.numpy as jnp

from ocgm.errors import InputError
from ocgm.interop import torch_names

# Random streams that models may draw from.
STREAMS = ("latent", "seed_scores")


def stream_keys(key: jax.Array) -> dict[str, jax.Array]:
    """Derive one key for each random stream."""
    return {name: jax.random.fold_in(key, i) for i, name in enumerate(STREAMS)}


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
      log_masks: log mixing weights of the reconstruction, [B, K, H, W, 1]: it is sum_k exp(log_masks_k) * components_k.
      slots: latent samples, [B, K, D].
      active_slots: which slots are in use, bool [B, K].
      reconstruction_error: negative log-likelihood, nats an image, [B]; the model's own error in models without one.
      kl: KL terms by name, nats an image, each [B, K] (one value a slot) or [B].
      latents: posteriors by name.
      log_masks_attention: attention log-masks that the encoder infers, [B, K, H, W, 1], of models with two kinds of
        masks; None for models with one kind.
      log_masks_decoded: log-masks that the decoder draws, [B, K, H, W, 1], of models with two kinds of masks; None for
        models with one kind. One of the two is `log_masks`: the decoded masks in GENESIS-V2, the attention in MONet.
      loss: the training loss, a scalar, of models that train with more than error_weight * mean(reconstruction_error)
        + beta * KL (iterative refinement); None in others and where `train` is false. Only its gradient counts then.
    """

    reconstruction: jax.Array
    components: jax.Array
    log_masks: jax.Array
    slots: jax.Array
    active_slots: jax.Array
    reconstruction_error: jax.Array
    kl: dict[str, jax.Array]
    latents: dict[str, Latent]
    log_masks_attention: jax.Array | None = None
    log_masks_decoded: jax.Array | None = None
    loss: jax.Array | None = None

    @property
    def masks(self) -> jax.Array:
        """Mixing weights of the reconstruction, [B, K, H, W, 1]; they sum to one over the slots."""
        return jnp.exp(self.log_masks)

    @property
    def log_masks_by_origin(self) -> dict[str, jax.Array]:
        """Log-masks by what they are: "attention" and "decoded", or "masks" for models with one kind."""
        if self.log_masks_attention is None or self.log_masks_decoded is None:
            return {"masks": self.log_masks}
        return {"attention": self.log_masks_attention, "decoded": self.log_masks_decoded}

    @property
    def segmentation_log_masks(self) -> jax.Array:
        """Log-masks [B, K, H, W, 1] that segment the image: the attention masks of models with two kinds of masks.

        The published evaluations of the GENESIS family report these.
        """
        return next(iter(self.log_masks_by_origin.values()))


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


class Model(Protocol):
    """The contract. Models are Flax modules that also have these; `jax.eval_shape` of any of them needs no data.

    Random streams: `latent` for samples of latents, `seed_scores` for GENESIS-V2's stick-breaking. Models that take
    gradients of the loss themselves read its weights from the collection `loss_weights`
    (`ocgm.modules.refinement.loss_weights`).

    Attributes:
      image_size: side S of the images.
    """

    image_size: int

    def __call__(self, images: jax.Array, *, train: bool, deterministic: bool = False) -> Outputs:
        """Infer slots and reconstruct.

        Models may take more keyword arguments (`models.check_options`): those with slots take `num_slots`, a number of
        slots instead of the configured one; 0 means that one, here and in `sample`.

        Args:
          images: float32 [B, S, S, 3] in [0, 1].
          train: normalise with batch statistics and update the running ones (collection `batch_stats`), in models that
            have them; without effect in others.
          deterministic: use posterior means instead of samples.
        """
        ...

    def features(self, images: jax.Array) -> jax.Array:
        """Vectors [B, F] for downstream use, as the model's paper takes them."""
        ...

    def decode_slots(self, slots: jax.Array) -> Sample:
        """The scene that latents [B, K, D], as in `Outputs.slots`, describe, with all slots in use.

        Raises:
          InputError: the latents alone do not say what the scene looks like.
        """
        ...

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior."""
        ...

    def torch_entries(self) -> list[torch_names.Entry]:
        """Names of the authors' PyTorch parameters beside ours."""
        ...


def check_one_slot(name: str, num_slots: int) -> None:
    """Check that nobody asks a model without slots for several.

    Raises:
      InputError: `num_slots` is more than 1.
    """
    if num_slots > 1:
        raise InputError(f"{name} has one slot; it cannot sample with num_slots={num_slots}.")
