"""IODINE (Greff, Lopez Kaufman, Kabra, Watters, Burgess, Zoran, Matthey, Botvinick and Lerchner, ICML 2019).

Where the paper and the published configurations differ this follows the configurations; docs/iodine.md lists the
differences.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, InputError, check_choice
from ocgm.losses import LossWeights
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules.distributions import standard_normal
from ocgm.modules.initializers import vector_init
from ocgm.modules.iodine_networks import COORDINATES, Decoder, Gradients, Refiner, State
from ocgm.modules.logistic_mixture import Pixels, explain
from ocgm.modules.refinement import gradient_scale, loss_weights, recomputed
from ocgm.modules.slots import fold_slots

# Standard deviation of the prior, which is the posterior's family with all parameters 0.
PRIOR_SIGMA = math.sqrt(math.log(2.0))


def gaussian(posterior: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return mean and standard deviation [..., D] of posteriors [..., 2D].

    The softplus of the second half is the variance.
    """
    mean, raw = jnp.split(posterior, 2, axis=-1)
    return mean, jnp.sqrt(nn.softplus(raw))


def sample_posterior(posterior: jax.Array, noise: jax.Array) -> jax.Array:
    """Return samples [B, K, D] of posteriors [B, K, 2D], made from N(0, I) noise [B, K, D]."""
    mean, sigma = gaussian(posterior)
    return mean + sigma * noise


def posterior_kl(posterior: jax.Array) -> jax.Array:
    """Return the divergence of posteriors [B, K, 2D] from the prior, [B, K] nats."""
    return losses.gaussian_kl(*gaussian(posterior), 0.0, PRIOR_SIGMA)


class Iterate(NamedTuple):
    """Loss of one iterate of the posterior.

    Attributes:
      loss: weighted sum of mean error and mean KL, a scalar.
      error: negative log-likelihood, [B] nats.
      kl: divergence from the prior, [B, K] nats.
    """

    loss: jax.Array
    error: jax.Array
    kl: jax.Array


@dataclasses.dataclass(frozen=True)
class Iteration:
    """One iteration of the refinement as a function of all that the training loss differentiates through.

    Attributes:
      decoder, refiner: the networks, without their parameters.
      weights: weights of mean error and mean KL in the loss.
      pixel_scale: scale of the logistic distribution of pixels.
      gradient_scale: factor of the gradients that the refinement network receives.
      remat: whether to recompute activations in the backward pass.
    """

    decoder: nn.Module
    refiner: nn.Module
    weights: LossWeights
    pixel_scale: float
    gradient_scale: float
    remat: bool

    def decode(self, parameters: Any, z: jax.Array) -> jax.Array:
        """Return the decoder's output [B, K, S, S, 4] for latents [B, K, D]."""
        return fold_slots(functools.partial(self.decoder.apply, parameters), z)

    def evaluate(
        self, parameters: Any, posterior: jax.Array, noise: jax.Array, images: jax.Array
    ) -> tuple[Iterate, Pixels]:
        """Decode a sample of the posterior with the decoder's parameters and return its loss and likelihood.

        Args:
          parameters: parameters of the decoder.
          posterior: [B, K, 2D].
          noise: noise of the sample, [B, K, D].
          images: [B, S, S, 3].
        """
        decoded = self.decode(parameters, sample_posterior(posterior, noise))
        pixels, kl = explain(images, decoded, self.pixel_scale), posterior_kl(posterior)
        loss = self.weights.error_weight * jnp.mean(pixels.error)
        loss = loss + self.weights.beta * jnp.mean(jnp.sum(kl, axis=1))
        return Iterate(loss, pixels.error, kl), pixels

    def gradients(
        self, parameters: Any, posterior: jax.Array, noise: jax.Array, images: jax.Array
    ) -> Gradients:
        """Return the gradients of the loss that `evaluate` returns, as constants of the training loss.

        One backward pass through the decoder gives both. All arguments are made constants, so that no second
        derivatives are computed. The decoder's forward pass is the one of `evaluate`, operation by operation, and XLA
        merges the two.
        """
        constants = jax.lax.stop_gradient((parameters, posterior, noise, images))
        parameters, posterior, noise, images = constants

        def weighted_error(decoded):
            error = explain(images, decoded, self.pixel_scale).error
            return self.weights.error_weight * jnp.mean(error)

        def weighted_kl(posterior):
            return self.weights.beta * jnp.mean(jnp.sum(posterior_kl(posterior), axis=1))

        decoded, pull_back = jax.vjp(
            lambda x: self.decode(parameters, sample_posterior(x, noise)), posterior
        )
        of_decoded = jax.grad(weighted_error)(decoded)
        (of_posterior,) = pull_back(of_decoded)
        gradients = Gradients(of_posterior + jax.grad(weighted_kl)(posterior), of_decoded)
        return jax.tree.map(lambda g: self.gradient_scale * g, gradients)

    def refine(
        self,
        parameters: tuple[Any, Any],
        posterior: jax.Array,
        state: State,
        noise: jax.Array,
        images: jax.Array,
    ) -> tuple[Iterate, jax.Array, State]:
        """Return the loss of a posterior, the refined posterior and the refinement network's state.

        Args:
          parameters: parameters of decoder and refinement network.
          posterior: [B, K, 2D].
          state: state of the refinement network.
          noise: noise of the sample that is decoded, [B, K, D].
          images: [B, S, S, 3].
        """

        def update(parameters, posterior, state, noise, images, gradients):
            of_decoder, of_refiner = parameters
            iterate, pixels = self.evaluate(of_decoder, posterior, noise, images)
            inputs = (images, pixels, posterior, gradients, state)
            return iterate, *self.refiner.apply(of_refiner, *inputs)

        gradients = self.gradients(parameters[0], posterior, noise, images)
        if self.remat:
            update = recomputed(update)
        return update(parameters, posterior, state, noise, images, gradients)


class IODINE(nn.Module):
    """Spatial mixture VAE over slots whose posteriors are inferred by iterative refinement.

    Number of slots and of refinement steps may differ at each call. The factor head of the published code is left out:
    it is a probe that gets no gradient to the slots. The defaults are the published configuration for CLEVR6.

    Attributes:
      num_slots: K.
      image_size: side of the images.
      latent_size: D.
      refinement_steps: T >= 1; T + 1 iterates are decoded.
      width: channels of the convolutions of decoder and refinement network.
      kernel_size: side of their square kernels; odd.
      encoder_layers: convolutions of the refinement network; the decoder has five.
      mlp_sizes: layers after these convolutions.
      lstm_size: size of the refinement network's recurrent state; 0 for none.
      coordinates: code of a pixel's position in the refinement network's inputs, "linear" or "cosine".
      pixel_scale: scale of the logistic distribution of pixels.
      train_gradient_batch: number of images that the loss for the refinement's gradient is a mean over in training; 0
        means the batch at hand. The gradients are normalised with an epsilon that is not small beside them, so the
        number matters: set it to the batch per device of the run to reproduce.
      eval_gradient_batch: the same in evaluation.
      remat: recompute each step's activations in the backward pass instead of keeping them: memory then hardly grows
        with T, at the price of a second forward pass.
      dtype: dtype of the convolutions, float32 or bfloat16; all else is float32.
    """

    num_slots: int
    image_size: int
    latent_size: int = 64
    refinement_steps: int = 5
    width: int = 64
    kernel_size: int = 3
    encoder_layers: int = 4
    mlp_sizes: tuple[int, ...] = (256, 256)
    lstm_size: int = 256
    coordinates: str = "linear"
    pixel_scale: float = 0.03
    train_gradient_batch: int = 0
    eval_gradient_batch: int = 0
    remat: bool = False
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        check_choice("iodine: coordinates", self.coordinates, COORDINATES)
        for field, least in (
            ("num_slots", 2),
            ("refinement_steps", 1),
            ("encoder_layers", 1),
            ("lstm_size", 0),
            ("width", 1),
            ("latent_size", 1),
            ("image_size", self.kernel_size),
        ):
            if getattr(self, field) < least:
                raise ConfigError(
                    f"iodine: {field}={getattr(self, field)} must be at least {least}."
                )
        if not self.mlp_sizes:
            raise ConfigError("iodine: mlp_sizes=() must name at least one layer.")
        if self.kernel_size % 2 == 0:
            raise ConfigError(f"iodine: kernel_size={self.kernel_size} must be odd.")
        if not self.pixel_scale > 0.0:
            raise ConfigError(f"iodine: pixel_scale={self.pixel_scale} must be positive.")
        super().__post_init__()

    def setup(self) -> None:
        size = 2 * self.latent_size
        self.initial_posterior = self.param("initial_posterior", vector_init(size), (size,))
        self.refiner = Refiner(
            self.width,
            self.kernel_size,
            self.encoder_layers,
            self.mlp_sizes,
            self.lstm_size,
            self.coordinates,
            self.dtype,
        )
        self.decoder = Decoder(self.image_size, self.width, self.kernel_size, self.dtype)

    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool,
        deterministic: bool = False,
        num_slots: int = 0,
        refinement_steps: int | None = None,
    ) -> Outputs:
        """Infer slots and reconstruct (algorithm 1).

        Args:
          images, train, num_slots: see `ocgm.models.base.Model`.
          deterministic: decode posterior means instead of samples. The first sample is drawn nevertheless: all slots
            start with the same posterior, and only that sample distinguishes them.
          refinement_steps: T, instead of the configured one.

        Returns:
          `Outputs` of the last iterate; the means of the components are clipped to [0, 1], except in the likelihood. KL
          term: `latents` [B, K].

        Raises:
          InputError: less than one step.
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        steps = self.refinement_steps if refinement_steps is None else refinement_steps
        if steps < 1:
            raise InputError(f"refinement_steps={steps} must be at least 1.")
        shape = (len(images), num_slots or self.num_slots, self.latent_size)
        posterior, state = self.initialise(*shape[:2])
        if self.is_initializing():
            self.create_parameters(images, posterior, state)
        iteration, parameters = self.iteration(len(images), train)

        total = jnp.zeros(())
        for t in range(steps):
            noise = standard_normal(self, shape, deterministic and t > 0)
            before = posterior
            iterate, posterior, state = iteration.refine(
                parameters, posterior, state, noise, images
            )
            self.sow("intermediates", "iterates", (before, iterate.error, iterate.kl))
            if t > 0:
                total = total + t / steps * iterate.loss
        noise = standard_normal(self, shape, deterministic)
        last, pixels = iteration.evaluate(parameters[0], posterior, noise, images)
        self.sow("intermediates", "iterates", (posterior, last.error, last.kl))

        slots = sample_posterior(posterior, noise)
        scene = _scene(pixels.components, pixels.log_masks)
        return Outputs(
            reconstruction=scene.images,
            components=scene.components,
            log_masks=scene.log_masks,
            slots=slots,
            active_slots=jnp.ones(shape[:2], bool),
            reconstruction_error=last.error,
            kl={"latents": last.kl},
            latents={"slots": Latent(*gaussian(posterior), slots)},
            loss=total + last.loss if train else None,
        )

    def initialise(self, batch_size: int, num_slots: int) -> tuple[jax.Array, State]:
        """Return the first posterior [B, K, 2D], the same for all slots, and the refinement network's first state."""
        shape = (batch_size, num_slots)
        posterior = jnp.broadcast_to(self.initial_posterior, (*shape, 2 * self.latent_size))
        state = (jnp.zeros((*shape, self.lstm_size)),) * 2 if self.lstm_size else ()
        return posterior, state

    def iteration(self, batch_size: int, train: bool) -> tuple[Iteration, tuple[Any, Any]]:
        """Return the iteration as functions, and the parameters of decoder and refinement network."""
        decoder, of_decoder = self.decoder.unbind()
        refiner, of_refiner = self.refiner.unbind()
        gradient_batch = self.train_gradient_batch if train else self.eval_gradient_batch
        iteration = Iteration(
            decoder,
            refiner,
            loss_weights(self),
            self.pixel_scale,
            gradient_scale(batch_size, gradient_batch),
            self.remat,
        )
        return iteration, (of_decoder, of_refiner)

    def create_parameters(self, images: jax.Array, posterior: jax.Array, state: State) -> None:
        """Create the parameters of the networks, which are otherwise called only as functions of them."""
        decoded = fold_slots(self.decoder, gaussian(posterior)[0])
        pixels = explain(images, decoded, self.pixel_scale)
        self.refiner(images, pixels, posterior, Gradients(posterior, decoded), state)

    def features(self, images: jax.Array) -> jax.Array:
        """Return the posterior means of all slots as one vector, [B, K * D]; the paper's probes take one slot each."""
        return self(images, train=False).latents["slots"].mean.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, K, D] to a scene."""
        decoded = fold_slots(self.decoder, slots)
        return _scene(decoded[..., 1:], nn.log_softmax(decoded[..., :1], axis=1))

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior; uses the `latent` stream."""
        shape = (batch_size, num_slots or self.num_slots, self.latent_size)
        return self.decode_slots(PRIOR_SIGMA * standard_normal(self, shape))


def _scene(components: jax.Array, log_masks: jax.Array) -> Sample:
    """Return a scene of component means that may leave [0, 1]."""
    components = jnp.clip(components, 0.0, 1.0)
    return Sample(losses.mixture_mean(components, log_masks), components, log_masks)
