"""The contract between models and everything that uses them.

Training, evaluation, figures and commands know a model only by this file. A model is a Flax module with

* an attribute `image_size`, the side S of the images that it takes;
* a call `model(images, train=...)` that returns `Outputs`;
* the methods `features`, `decode_slots` and `sample` of `Model`.

Shapes: B images in a batch, K slots, side S, D numbers per latent, F features. Images are in [0, 1] with channels last.

The training loss follows from the outputs: error_weight * mean(reconstruction_error) + beta * mean(KL), where the
objective (`ocgm.training.objectives`) sets the weights. Models that need the weights themselves, because they take
gradients of the loss in their forward pass, read them from the collection `loss_weights`
(`ocgm.modules.refinement.loss_weights`) and return the loss in `Outputs.loss`.

Collections of variables: `params`; `batch_stats` in models with batch normalisation; `loss_weights`, which the train
state adds, is passed to every model.
"""

from collections.abc import Callable
from typing import Any, Protocol

import flax.struct
import jax
import jax.numpy as jnp

from ocgm.errors import InputError

# Random streams that models may draw from: samples of latents, and the seeds of GENESIS-V2's stick-breaking.
STREAMS = ("latent", "seed_scores")


def stream_keys(key: jax.Array) -> dict[str, jax.Array]:
    """Derive one key for each random stream, to be passed as `rngs`."""
    return {name: jax.random.fold_in(key, i) for i, name in enumerate(STREAMS)}


@flax.struct.dataclass
class Latent:
    """A diagonal Gaussian posterior and the sample of it that was decoded.

    Attributes:
      mean: [B, K, D].
      sigma: standard deviation, [B, K, D].
      sample: [B, K, D].
    """

    mean: jax.Array
    sigma: jax.Array
    sample: jax.Array


@flax.struct.dataclass
class Outputs:
    """Result of `model(images, train=...)`.

    Models without slots have K = 1 and one mask of ones.

    Attributes:
      reconstruction: mean of the mixture, [B, S, S, 3] in [0, 1].
      components: means of the mixture's components, [B, K, S, S, 3] in [0, 1].
      log_masks: logarithms of the mixing weights, [B, K, S, S, 1]. The weights sum to one over the slots, and
        reconstruction = sum_k exp(log_masks_k) * components_k, where no colour had to be clipped to [0, 1].
      slots: one vector per slot, the input of `decode_slots`: the sampled latents, [B, K, D].
      active_slots: which slots are in use, bool [B, K].
      reconstruction_error: negative log-likelihood, [B] nats; in models without a likelihood, their own error.
      kl: KL terms by name in nats, [B, K] (one value per slot) or [B].
      latents: posteriors by name.
      log_masks_attention: log-masks inferred by the encoder, [B, K, S, S, 1], in models with two kinds of masks; None
        in models with one kind.
      log_masks_decoded: log-masks predicted by the decoder, [B, K, S, S, 1], in models with two kinds of masks; None in
        models with one kind. One of the two kinds is `log_masks`: the decoded masks in GENESIS-V2, the attention masks
        in MONet.
      loss: the training loss, a scalar, in models that compute it themselves, where `train` is true; otherwise None.
        Only its gradient is used.
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
        """Mixing weights of the reconstruction, [B, K, S, S, 1]; they sum to one over the slots."""
        return jnp.exp(self.log_masks)

    @property
    def log_masks_by_origin(self) -> dict[str, jax.Array]:
        """Log-masks by origin: "attention" and "decoded", or "masks" in models with one kind."""
        if self.log_masks_attention is None or self.log_masks_decoded is None:
            return {"masks": self.log_masks}
        return {"attention": self.log_masks_attention, "decoded": self.log_masks_decoded}

    @property
    def segmentation_log_masks(self) -> jax.Array:
        """Log-masks that segment the image, [B, K, S, S, 1]: in models with two kinds of masks, the attention masks.

        The published evaluations of the GENESIS family report these.
        """
        return next(iter(self.log_masks_by_origin.values()))


@flax.struct.dataclass
class Sample:
    """Scenes that were decoded from latents.

    Attributes:
      images: [B, S, S, 3] in [0, 1].
      components: [B, K, S, S, 3] in [0, 1].
      log_masks: logarithms of the mixing weights, [B, K, S, S, 1].
    """

    images: jax.Array
    components: jax.Array
    log_masks: jax.Array


class Model(Protocol):
    """A model: a Flax module with the following members.

    All methods are called by `model.apply(variables, ..., method=..., rngs=stream_keys(key))` and can be traced by
    `jax.eval_shape` without data. The module's dataclass attributes are the fields of `config.model`.

    Attributes:
      image_size: side S of the images.
    """

    image_size: int

    # Of `flax.linen.Module`.
    init: Callable[..., dict[str, Any]]
    apply: Callable[..., Any]

    def __call__(
        self, images: jax.Array, *, train: bool, deterministic: bool = False, **options: Any
    ) -> Outputs:
        """Infer slots and reconstruct.

        Args:
          images: float32 [B, S, S, 3] in [0, 1].
          train: normalise with batch statistics and update the running ones (collection `batch_stats`), in models with
            batch normalisation; return `Outputs.loss`, in models that compute it. No effect in others.
          deterministic: use posterior means instead of samples.
          **options: options of the model (see `ocgm.models.check_options`). Models with slots take `num_slots`, a
            number of slots that replaces the configured one for this call; 0 selects the configured one.
        """
        ...

    def features(self, images: jax.Array) -> jax.Array:
        """Return vectors [B, F] for downstream tasks, as the model's paper defines them.

        Args:
          images: float32 [B, S, S, 3] in [0, 1].
        """
        ...

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, K, D], laid out as `Outputs.slots`, to scenes in which all slots are in use.

        Raises:
          InputError: the latents alone do not determine a scene.
        """
        ...

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior.

        Args:
          batch_size: B.
          num_slots: K; 0 selects the configured number.

        Raises:
          InputError: the model has no prior, or cannot sample this number of slots.
        """
        ...


def check_one_slot(name: str, num_slots: int) -> None:
    """Check the number of slots requested of a model without slots.

    Raises:
      InputError: `num_slots` is more than 1.
    """
    if num_slots > 1:
        raise InputError(f"{name} has one slot; it cannot sample with num_slots={num_slots}.")
