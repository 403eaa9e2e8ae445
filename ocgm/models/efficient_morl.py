"""EfficientMORL (Emami, He, Ranka and Rangarajan, ICML 2021).

Where the paper and the authors' code differ this follows the code unless an attribute selects the paper's way;
docs/efficient_morl.md lists the differences.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, InputError, check_choice
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules.distributions import standard_normal, variance_sigma
from ocgm.modules.efficient_morl_networks import (
    ConditionalPrior,
    Gaussian,
    LayerNorm,
    Refiner,
    SmallDense,
)
from ocgm.modules.gru import GRU, DualGRU
from ocgm.modules.initializers import small_normal_init, zeros_and_ones
from ocgm.modules.positioned_decoders import POSITIONED_DECODERS, positioned_decoder
from ocgm.modules.refinement import gradient_scale, loss_weights, loss_with_gradient
from ocgm.modules.slot_attention import PixelEncoder, attend
from ocgm.modules.slots import fold_slots

PRIORS = ("bottom_up", "reversed", "reversed++")
# Mean and standard deviation of a prior: arrays [B, K, D], or numbers for all latents.
PriorParameters = tuple[jax.Array | float, jax.Array | float]
_STANDARD_NORMAL: PriorParameters = (0.0, 1.0)


class Iterate(NamedTuple):
    """One iterate of the last layer's posterior, evaluated.

    Attributes:
      loss: weighted sum of mean error and mean KL, a scalar.
      gradient: its gradient with respect to the posterior, a constant of the training loss.
      error: negative log-likelihood, [B] nats.
      kl: divergence from the prior, [B, K] nats.
      components: component means, [B, K, S, S, 3].
      log_masks: [B, K, S, S, 1].
    """

    loss: jax.Array
    gradient: Gaussian
    error: jax.Array
    kl: jax.Array
    components: jax.Array
    log_masks: jax.Array


def mixture(decoded: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return component means [B, K, S, S, 3] and log-masks [B, K, S, S, 1] from decoded maps [B, K, S, S, 4]."""
    return nn.sigmoid(decoded[..., :3]), nn.log_softmax(decoded[..., 3:], axis=1)


class EfficientMORL(nn.Module):
    """Hierarchical VAE over slots with attention for inference, and a few steps of iterative refinement.

    Number of slots and of refinement steps may differ at each call. The reconstruction error leaves out the constant
    log(2 pi) / 2 of each pixel and channel, as in the authors' code, so that GECO's goals are comparable.

    Attributes:
      num_slots: K.
      image_size: side of the images.
      latent_size: D.
      stochastic_layers: L >= 0, layers of the posterior; they share all weights.
      refinement_steps: I >= 0.
      prior: "bottom_up", "reversed" or "reversed++" (section 3.2); the last one also serves as the prior of the
        refined posteriors.
      likelihood: "mixture" of Gaussians for each pixel and channel, as in the authors' code, or for each "pixel"; or
        one "gaussian" around the mixture's mean.
      component_sigma: standard deviation of the pixel likelihood.
      dual_gru: separate GRUs for means and scales; False is the ablation with one GRU for both.
      decoder: "iodine" (3x3 convolutions), "small" (5x5) or "deconv" (Slot Attention's).
      paper_discount: weigh the losses of the I + 1 iterates by equation 8, 1 and then (I - i + 1) / (I + 1), instead of
        the code's (I - i + 3) / (I + 1) for all.
      paper_refinement_prior: with "bottom_up", the refined posteriors' prior is p(z^L | z^(L-1)) as in Algorithm 1,
        instead of the code's N(0, I).
      train_gradient_batch: number of images that the loss for the refinement's gradient is a mean over in training; 0
        means the batch at hand. The gradients are normalised with an epsilon that is not small beside them, so the
        number matters: set it to the authors' batch per process.
      eval_gradient_batch: the same in evaluation, where the authors have one image.
      dtype: dtype of the convolutions, float32 or bfloat16; all else is float32.
    """

    num_slots: int
    image_size: int
    latent_size: int = 64
    stochastic_layers: int = 3
    refinement_steps: int = 3
    prior: str = "reversed++"
    likelihood: str = "mixture"
    component_sigma: float = 0.1
    dual_gru: bool = True
    decoder: str = "iodine"
    paper_discount: bool = False
    paper_refinement_prior: bool = False
    train_gradient_batch: int = 0
    eval_gradient_batch: int = 0
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        for field, choices in (
            ("prior", PRIORS),
            ("likelihood", losses.LIKELIHOODS),
            ("decoder", POSITIONED_DECODERS),
        ):
            check_choice(f"efficient_morl: {field}", getattr(self, field), choices)
        for field, least in (("num_slots", 2), ("stochastic_layers", 0), ("refinement_steps", 0)):
            if getattr(self, field) < least:
                raise ConfigError(
                    f"efficient_morl: {field}={getattr(self, field)} must be at least {least}."
                )
        super().__post_init__()

    def setup(self) -> None:
        size = self.latent_size
        self.encoder = PixelEncoder(layer_init=small_normal_init, dtype=self.dtype)
        self.to_query = SmallDense(size, use_bias=False)
        self.to_key = SmallDense(size, use_bias=False)
        self.to_value = SmallDense(size, use_bias=False)
        self.slot_norm = LayerNorm()
        self.initial_posterior = self.param("initial_posterior", zeros_and_ones, (1, 2 * size))
        self.gru: Any
        if self.dual_gru:
            self.gru = DualGRU()
        else:
            self.gru_input = SmallDense(2 * size)
            self.gru = GRU()
        self.mean_norm, self.scale_norm = LayerNorm(), LayerNorm()
        self.mean_hidden, self.mean_output = SmallDense(2 * size), SmallDense(size)
        self.scale_hidden, self.scale_output = SmallDense(2 * size), SmallDense(size)
        self.conditional_prior = ConditionalPrior()
        self.refiner = Refiner()
        self.image_decoder = positioned_decoder(
            self.decoder, self.image_size, layer_init=small_normal_init, dtype=self.dtype
        )

    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool,
        refinement_steps: int | None = None,
        num_slots: int = 0,
        deterministic: bool = False,
    ) -> Outputs:
        """Infer slots and reconstruct (algorithm 1).

        Args:
          images, train, num_slots: see `ocgm.models.base.Model`.
          deterministic: use posterior means instead of samples. The first slots are sampled nevertheless, since they
            have to differ.
          refinement_steps: I, instead of the configured one.

        Returns:
          `Outputs` of the last iterate; `log_masks` are the decoder's. KL term: `latents` [B, K], the hierarchical KL
          where I = 0, otherwise the KL of the refined posterior, as the authors report.

        Raises:
          InputError: the number of steps is negative.
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        num_slots = num_slots or self.num_slots
        steps = self.refinement_steps if refinement_steps is None else refinement_steps
        if steps < 0:
            raise InputError(f"refinement_steps={steps} must not be negative.")
        shape = (len(images), num_slots, self.latent_size)
        if self.is_initializing():
            self.create_parameters(shape)

        # Stage 1: bottom-up inference of all layers; the last layer's sample is decoded.
        posterior, earlier, noise = self.infer(images, shape, deterministic)
        prior_noise = [standard_normal(self, shape, deterministic) for _ in earlier]
        iterate = self.evaluate_layers(images, posterior, earlier, noise, prior_noise)
        self.sow("intermediates", "iterates", (posterior, iterate.error, iterate.kl))
        total = self.discount(0, steps) * iterate.loss

        # Stage 2: refinement of the last layer's posterior with the gradient of its own loss.
        _, prior = self.hierarchical_kl(self.conditional_prior, earlier, posterior, prior_noise)
        gradient_batch = self.train_gradient_batch if train else self.eval_gradient_batch
        scale = gradient_scale(len(images), gradient_batch)
        state = jnp.zeros(shape)
        for i in range(1, steps + 1):
            gradient = Gaussian(scale * iterate.gradient.mean, scale * iterate.gradient.raw)
            posterior, state = self.refiner(posterior, gradient, state)
            noise = standard_normal(self, shape, deterministic)
            iterate = self.evaluate_refined(images, posterior, prior, noise)
            self.sow("intermediates", "iterates", (posterior, iterate.error, iterate.kl))
            total = total + self.discount(i, steps) * iterate.loss

        z = posterior.sample(noise)
        return Outputs(
            reconstruction=losses.mixture_mean(iterate.components, iterate.log_masks),
            components=iterate.components,
            log_masks=iterate.log_masks,
            slots=z,
            active_slots=jnp.ones(shape[:2], bool),
            reconstruction_error=iterate.error,
            kl={"latents": iterate.kl},
            latents={"slots": Latent(posterior.mean, variance_sigma(posterior.raw), z)},
            loss=total if train else None,
        )

    def infer(
        self, images: jax.Array, shape: tuple[int, int, int], deterministic: bool
    ) -> tuple[Gaussian, list[Gaussian], jax.Array]:
        """Infer all layers' posteriors bottom-up (section 3.1).

        Returns:
          Posterior of the last layer, posteriors of the layers before it, and the noise of the last layer's sample,
          [B, K, D].
        """
        features = self.encoder(2.0 * images - 1.0)
        keys, values = self.to_key(features), self.to_value(features)
        initial = jnp.split(self.initial_posterior, 2, axis=-1)
        posterior = Gaussian(*(jnp.broadcast_to(half, shape) for half in initial))
        noise = standard_normal(self, shape)  # The only difference between the first slots.
        earlier = []
        for layer in range(self.stochastic_layers):
            if layer:
                earlier.append(posterior)
            queries = self.to_query(self.slot_norm(posterior.sample(noise)))
            _, pooled = attend(queries, keys, values)
            posterior = self.update(pooled, posterior)
            noise = standard_normal(self, shape, deterministic)
        return posterior, earlier, noise

    def update(self, pooled: jax.Array, posterior: Gaussian) -> Gaussian:
        """Return a layer's posterior from the pooled values [B, K, D] and the posterior of the layer before it."""
        if self.dual_gru:
            mean, raw = self.gru(pooled, *posterior)
        else:
            state = self.gru(self.gru_input(pooled), jnp.concatenate(posterior, axis=-1))
            mean, raw = jnp.split(state, 2, axis=-1)
        mean = mean + self.mean_output(nn.relu(self.mean_hidden(self.mean_norm(mean))))
        raw = raw + self.scale_output(nn.relu(self.scale_hidden(self.scale_norm(raw))))
        return Gaussian(mean, raw)

    def evaluate_layers(
        self,
        images: jax.Array,
        posterior: Gaussian,
        earlier: list[Gaussian],
        noise: jax.Array,
        prior_noise: list[jax.Array],
    ) -> Iterate:
        """Evaluate the last layer's posterior, with the divergence of all layers from the hierarchical prior."""
        prior, parameters = self.conditional_prior.unbind()

        def divergence(posterior, others):
            earlier, prior_noise, parameters = others
            conditional_prior = functools.partial(prior.apply, parameters)
            return self.hierarchical_kl(conditional_prior, earlier, posterior, prior_noise)[0]

        others = (earlier, prior_noise, parameters)
        return self._evaluate(images, posterior, noise, divergence, others)

    def evaluate_refined(
        self, images: jax.Array, posterior: Gaussian, prior: PriorParameters, noise: jax.Array
    ) -> Iterate:
        """Evaluate a refined posterior, with its own divergence from `prior`."""

        def divergence(posterior, prior):
            return posterior.kl(*prior)

        return self._evaluate(images, posterior, noise, divergence, prior)

    def _evaluate(
        self,
        images: jax.Array,
        posterior: Gaussian,
        noise: jax.Array,
        divergence: Callable[[Gaussian, Any], jax.Array],
        others: Any,
    ) -> Iterate:
        """Decode a sample of the posterior and return its loss and the loss's gradient.

        Args:
          images: [B, S, S, 3].
          posterior: the last layer's posterior.
          noise: noise of the sample, [B, K, D].
          divergence: (posterior, others) -> KL [B, K].
          others: everything else that the KL depends on.
        """
        decoder, parameters = self.image_decoder.unbind()

        def weighted_loss(posterior, arguments):
            images, noise, others, parameters, weights = arguments
            decode = functools.partial(decoder.apply, parameters)
            components, log_masks = mixture(fold_slots(decode, posterior.sample(noise)))
            error = self.reconstruction_error(images, components, log_masks)
            kl = divergence(posterior, others)
            loss = weights.error_weight * jnp.mean(error)
            loss = loss + weights.beta * jnp.mean(jnp.sum(kl, axis=1))
            return loss, (error, kl, components, log_masks)

        arguments = (images, noise, others, parameters, loss_weights(self))
        loss, aux, gradient = loss_with_gradient(weighted_loss, posterior, arguments)
        return Iterate(loss, gradient, *aux)

    def hierarchical_kl(
        self,
        conditional_prior: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
        earlier: list[Gaussian],
        last: Gaussian,
        noise: list[jax.Array],
    ) -> tuple[jax.Array, PriorParameters]:
        """Return the divergence [B, K] of all layers from the hierarchical prior, and the prior of refined posteriors.

        The first layer in the prior's direction has the prior N(0, I), every other layer a prior conditioned on a fresh
        sample of the posterior before it, which is not the sample that inference propagated.
        """
        if not self.stochastic_layers:
            return jnp.zeros(last.mean.shape[:2]), _STANDARD_NORMAL
        layers = [*earlier, last] if self.prior == "bottom_up" else [last, *reversed(earlier)]
        kl, prior = layers[0].kl(*_STANDARD_NORMAL), _STANDARD_NORMAL
        for given, layer, eps in zip(layers[:-1], layers[1:], noise, strict=True):
            prior = conditional_prior(given.sample(eps))
            kl = kl + layer.kl(*prior)
        return kl, prior if self._conditional_refinement_prior else _STANDARD_NORMAL

    @property
    def _conditional_refinement_prior(self) -> bool:
        if self.prior == "bottom_up":
            return self.paper_refinement_prior
        return self.prior == "reversed++"

    def reconstruction_error(
        self, images: jax.Array, components: jax.Array, log_masks: jax.Array
    ) -> jax.Array:
        """Return the negative log-likelihood without its constant, [B] nats (equation 12 or 13)."""
        # The authors hold log(sigma) in single precision.
        sigma = math.exp(np.float32(math.log(self.component_sigma)))
        error = losses.LIKELIHOODS[self.likelihood](images, components, log_masks, sigma)
        return losses.without_constant(error, images)

    def discount(self, i: int, steps: int) -> float:
        """Return the weight of the loss of iterate i of 0, ..., steps."""
        if self.paper_discount:
            return (steps - i + 1) / (steps + 1) if i else 1.0
        return (steps - i + 3) / (steps + 1)

    def create_parameters(self, shape: tuple[int, int, int]) -> None:
        """Create the parameters of parts that are called only as functions of them, or not at all with L or I = 0."""
        slots = jnp.zeros(shape)
        self.to_query(self.slot_norm(slots))
        self.update(slots, Gaussian(slots, slots))
        self.conditional_prior(slots)
        fold_slots(self.image_decoder, slots)
        self.refiner(Gaussian(slots, slots), Gaussian(slots, slots), slots)

    def features(self, images: jax.Array) -> jax.Array:
        """Return the posterior means of all slots as one vector, [B, K * D]; the paper's probes take one slot each."""
        return self(images, train=False).latents["slots"].mean.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, K, D] to a scene."""
        components, log_masks = mixture(fold_slots(self.image_decoder, slots))
        return Sample(losses.mixture_mean(components, log_masks), components, log_masks)

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior of the latents that are decoded last; uses the `latent` stream.

        Where that is a conditional prior, by drawing all layers in the prior's direction.
        """
        shape = (batch_size, num_slots or self.num_slots, self.latent_size)
        z = standard_normal(self, shape)
        refines = self.refinement_steps > 0
        if self._conditional_refinement_prior if refines else self.prior == "bottom_up":
            for _ in range(1, self.stochastic_layers):
                mean, sigma = self.conditional_prior(z)
                z = mean + sigma * standard_normal(self, shape)
        return self.decode_slots(z)
