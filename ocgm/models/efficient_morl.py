"""EfficientMORL (Emami, He, Ranka and Rangarajan, ICML 2021).

Where the paper and the authors' code differ this follows the code unless an attribute says otherwise;
docs/efficient_morl.md lists the differences.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, InputError
from ocgm.interop import torch_names
from ocgm.interop.torch_names import Entry
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules.decoders import POSITIONED_DECODERS, fold_slots, positioned_decoder
from ocgm.modules.distributions import standard_normal, variance_sigma
from ocgm.modules.gru import GRU, DualGRU
from ocgm.modules.layers import Dense, small_normal_init, zeros_and_ones
from ocgm.modules.refinement import loss_weights, loss_with_gradient
from ocgm.modules.slot_attention import PixelEncoder, attend

PRIORS = ("bottom_up", "reversed", "reversed++")
_HIDDEN = 128

# Layers that the authors' initialiser reaches: N(0, 0.02^2 * 2 / (fan_in + fan_out)) and zero biases.
_Dense = functools.partial(Dense, layer_init=small_normal_init)
_LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)
_STANDARD_NORMAL = (0.0, 1.0)


class Gaussian(NamedTuple):
    """Parameters of slots' posteriors, each [B, K, D]; `variance_sigma(raw)` is the standard deviation."""

    mean: jax.Array
    raw: jax.Array

    def sample(self, noise: jax.Array) -> jax.Array:
        return self.mean + variance_sigma(self.raw) * noise

    def kl(self, prior_mean: jax.Array | float, prior_sigma: jax.Array | float) -> jax.Array:
        """Divergence from a prior, [B, K] nats."""
        return losses.gaussian_kl(self.mean, variance_sigma(self.raw), prior_mean, prior_sigma)


class ConditionalPrior(nn.Module):
    """p(z^l | u) of a stochastic layer given a sample u of its neighbour; all layers share it."""

    @nn.compact
    def __call__(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, K, D] -> mean and standard deviation, each [B, K, D]."""
        hidden = nn.elu(_Dense(_HIDDEN, name="hidden")(u))
        raw = _Dense(u.shape[-1], name="scale")(hidden)
        return _Dense(u.shape[-1], name="mean")(hidden), variance_sigma(raw)


class Refiner(nn.Module):
    """One refinement step: the posterior and the loss's gradient -> an additive update (Algorithm 1, stage 2)."""

    @nn.compact
    def __call__(
        self, posterior: Gaussian, gradient: Gaussian, state: jax.Array
    ) -> tuple[Gaussian, jax.Array]:
        """New posterior, and the recurrent state [B, K, D]."""
        size = state.shape[-1]
        norm = _LayerNorm(use_scale=False, use_bias=False)
        gradient = jax.tree.map(norm, gradient)
        x = jnp.concatenate([*posterior, *jax.lax.stop_gradient(gradient)], axis=-1)
        x = _Dense(size, name="encoding")(nn.elu(_Dense(_HIDDEN, name="hidden")(x)))
        state = GRU(name="gru")(x, state)
        update = Gaussian(_Dense(size, name="mean")(state), _Dense(size, name="scale")(state))
        return jax.tree.map(jnp.add, posterior, update), state


def mixture(decoded: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Component means [B, K, S, S, 3] and log-masks [B, K, S, S, 1] from the decoder's output [B, K, S, S, 4]."""
    return nn.sigmoid(decoded[..., :3]), nn.log_softmax(decoded[..., 3:], axis=1)


class EfficientMORL(nn.Module):
    """Hierarchical VAE over slots with attention for inference, and a few steps of iterative refinement.

    Number of slots and of refinement steps may differ at each call. The reconstruction error leaves out the constant
    log(2 pi) / 2 of each pixel and channel, as the authors' does: GECO's goals count without it.

    Attributes:
      num_slots: K.
      image_size: side of the images.
      latent_size: D.
      stochastic_layers: L >= 0, layers of the posterior; they share all weights.
      refinement_steps: I >= 0.
      prior: "bottom_up", "reversed" or "reversed++" (section 3.2); the last one also serves as the prior of the
        refined posteriors.
      likelihood: "mixture" of Gaussians for each pixel and channel, or one "gaussian" around the mixture's mean.
      component_sigma: standard deviation of the pixel likelihood.
      dual_gru: separate GRUs for means and scales; False is the ablation with one GRU for both.
      decoder: "iodine" (3x3 convolutions), "small" (5x5) or "deconv" (Slot Attention's).
      paper_discount: weigh the losses of the I + 1 iterates by equation 8, 1 and then (I - i + 1) / (I + 1), instead of
        the code's (I - i + 3) / (I + 1) for all.
      paper_refinement_prior: with "bottom_up", the refined posteriors' prior is p(z^L | z^(L-1)) as in Algorithm 1,
        instead of the code's N(0, I).
      train_gradient_batch: images that the loss for the refinement's gradient is a mean over while training; 0 means
        the batch at hand. The gradients are normalised with an epsilon that is not small beside them, so this matters:
        give the authors' batch per process.
      eval_gradient_batch: the same for evaluation, where the authors have one image.
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
            if getattr(self, field) not in choices:
                raise ConfigError(
                    f"efficient_morl: {field}={getattr(self, field)!r} is not one of {tuple(choices)}."
                )
        for field, least in (("num_slots", 2), ("stochastic_layers", 0), ("refinement_steps", 0)):
            if getattr(self, field) < least:
                raise ConfigError(
                    f"efficient_morl: {field}={getattr(self, field)} must be at least {least}."
                )
        super().__post_init__()

    def setup(self) -> None:
        size = self.latent_size
        self.encoder = PixelEncoder(layer_init=small_normal_init, dtype=self.dtype)
        self.to_query = _Dense(size, use_bias=False)
        self.to_key = _Dense(size, use_bias=False)
        self.to_value = _Dense(size, use_bias=False)
        self.slot_norm = _LayerNorm()
        self.initial_posterior = self.param("initial_posterior", zeros_and_ones, (1, 2 * size))
        if self.dual_gru:
            self.gru = DualGRU()
        else:
            self.gru_input = _Dense(2 * size)
            self.gru = GRU()
        self.mean_norm, self.scale_norm = _LayerNorm(), _LayerNorm()
        self.mean_hidden, self.mean_output = _Dense(2 * size), _Dense(size)
        self.scale_hidden, self.scale_output = _Dense(2 * size), _Dense(size)
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
        """Infer slots and reconstruct.

        Args:
          images, train, num_slots: as of every model (`ocgm.models.base.Model`).
          deterministic: use posterior means instead of samples. The first slots are drawn all the same: they have to
            differ.
          refinement_steps: I, instead of the configured one.

        Returns:
          `Outputs` of the last iterate; `log_masks` are the decoder's. KL term: `latents` [B, K], the hierarchical KL
          where I = 0, otherwise that of the refined posterior, as the authors report them.

        Raises:
          InputError: negative number of steps.
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        num_slots = num_slots or self.num_slots
        steps = self.refinement_steps if refinement_steps is None else refinement_steps
        if steps < 0:
            raise InputError(f"refinement_steps={steps} must not be negative.")
        shape = (len(images), num_slots, self.latent_size)
        if self.is_initializing():
            self.make_parameters(shape)

        weights = loss_weights(self)
        gradient_batch = self.train_gradient_batch if train else self.eval_gradient_batch
        gradient_scale = len(images) / (gradient_batch or len(images))

        # Stage 1: bottom-up inference, and the loss of the last layer's sample.
        posterior, earlier, noise = self.infer(images, shape, deterministic)
        neighbour_noise = [standard_normal(self, shape, deterministic) for _ in earlier]
        decoder, decoder_parameters = self.image_decoder.unbind()
        prior, prior_parameters = self.conditional_prior.unbind()

        def loss_of_layers(posterior, others):
            earlier, neighbour_noise, prior_parameters, *rest = others
            conditional = functools.partial(prior.apply, prior_parameters)
            kl, _ = self.hierarchical_kl(conditional, earlier, posterior, neighbour_noise)
            return loss_of_sample(posterior, kl, *rest)

        def loss_of_refined(posterior, others):
            refinement_prior, *rest = others
            return loss_of_sample(posterior, posterior.kl(*refinement_prior), *rest)

        def loss_of_sample(posterior, kl, noise, decoder_parameters, images, weights):
            decoded = fold_slots(
                functools.partial(decoder.apply, decoder_parameters), posterior.sample(noise)
            )
            components, log_masks = mixture(decoded)
            error = self.reconstruction_error(images, components, log_masks)
            loss = weights.error_weight * jnp.mean(error) + weights.beta * jnp.mean(
                jnp.sum(kl, axis=1)
            )
            return loss, (error, kl, components, log_masks)

        rest = (decoder_parameters, images, weights)
        loss, outputs, gradient = loss_with_gradient(
            loss_of_layers, posterior, (earlier, neighbour_noise, prior_parameters, noise, *rest)
        )
        total = self.discount(0, steps) * loss

        # Stage 2: refinement of the last layer's posterior with the gradient of its own loss.
        _, refinement_prior = self.hierarchical_kl(
            self.conditional_prior, earlier, posterior, neighbour_noise
        )
        state = jnp.zeros(shape)
        self.sow("intermediates", "iterates", (posterior, *outputs[:2]))
        for i in range(1, steps + 1):
            gradient = jax.tree.map(lambda g: gradient_scale * g, gradient)
            posterior, state = self.refiner(posterior, gradient, state)
            noise = standard_normal(self, shape, deterministic)
            loss, outputs, gradient = loss_with_gradient(
                loss_of_refined, posterior, (refinement_prior, noise, *rest)
            )
            self.sow("intermediates", "iterates", (posterior, *outputs[:2]))
            total = total + self.discount(i, steps) * loss

        error, kl, components, log_masks = outputs
        z = posterior.sample(noise)
        return Outputs(
            reconstruction=losses.mixture_mean(components, log_masks),
            components=components,
            log_masks=log_masks,
            slots=z,
            active_slots=jnp.ones(shape[:2], bool),
            reconstruction_error=error,
            kl={"latents": kl},
            latents={"slots": Latent(posterior.mean, variance_sigma(posterior.raw), z)},
            loss=total if train else None,
        )

    def infer(
        self, images: jax.Array, shape: tuple[int, int, int], deterministic: bool
    ) -> tuple[Gaussian, list[Gaussian], jax.Array]:
        """Posterior of the last layer, those of the layers before it, and the noise of the last sample [B, K, D]."""
        features = self.encoder(2.0 * images - 1.0)
        keys, values = self.to_key(features), self.to_value(features)
        initial = jnp.split(self.initial_posterior, 2, axis=-1)
        posterior = Gaussian(*(jnp.broadcast_to(half, shape) for half in initial))
        noise = standard_normal(self, shape)  # Slots start alike but for this.
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
        """A layer's posterior from what its slots attend to, [B, K, D], and from the layer before (section 3.1)."""
        if self.dual_gru:
            mean, raw = self.gru(pooled, *posterior)
        else:
            state = self.gru(self.gru_input(pooled), jnp.concatenate(posterior, axis=-1))
            mean, raw = jnp.split(state, 2, axis=-1)
        mean = mean + self.mean_output(nn.relu(self.mean_hidden(self.mean_norm(mean))))
        raw = raw + self.scale_output(nn.relu(self.scale_hidden(self.scale_norm(raw))))
        return Gaussian(mean, raw)

    def hierarchical_kl(
        self,
        conditional_prior: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
        earlier: list[Gaussian],
        last: Gaussian,
        noise: list[jax.Array],
    ) -> tuple[jax.Array, tuple[jax.Array | float, jax.Array | float]]:
        """Divergence [B, K] of all layers from the hierarchical prior, and the refined posteriors' prior.

        The first layer of the prior's direction has N(0, I), every other one a prior given a fresh sample of the
        posterior before it, which is not the sample that inference propagated.
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
        """Negative log-likelihood without its constant, [B] nats (equation 12 or 13)."""
        # The authors hold log(sigma) in single precision.
        sigma = math.exp(np.float32(math.log(self.component_sigma)))
        error = losses.LIKELIHOODS[self.likelihood](images, components, log_masks, sigma)
        return losses.without_constant(error, images)

    def discount(self, i: int, steps: int) -> float:
        """Weight of the loss of iterate i of 0, ..., steps."""
        if self.paper_discount:
            return (steps - i + 1) / (steps + 1) if i else 1.0
        return (steps - i + 3) / (steps + 1)

    def make_parameters(self, shape: tuple[int, int, int]) -> None:
        """Initialise all parts: some are only called as functions of their parameters, others not with L or I = 0."""
        slots = jnp.zeros(shape)
        self.to_query(self.slot_norm(slots))
        self.update(slots, Gaussian(slots, slots))
        self.conditional_prior(slots)
        fold_slots(self.image_decoder, slots)
        self.refiner(Gaussian(slots, slots), Gaussian(slots, slots), slots)

    def features(self, images: jax.Array) -> jax.Array:
        """Posterior means of all slots as one vector, [B, K * D]; the paper's probes take them slot by slot."""
        return self(images, train=False).latents["slots"].mean.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """The scene that latents [B, K, D] describe."""
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

    def torch_entries(self) -> list[torch_names.Entry]:
        """Names of the authors' PyTorch parameters beside ours."""
        n, block = torch_names, "hvae_networks"
        entries = [
            # Of GECO's two scalars the models need the multiplier, as a weight.
            Entry("geco_beta", "error_weight", _softplus, _inverse_softplus, "loss_weights"),
            n.same(f"{block}.init_posterior", "initial_posterior"),
            *n.pixel_encoder(f"{block}.", "encoder"),
            *n.norm(f"{block}.norm_slots", "slot_norm"),
            *n.norm(f"{block}.norm_mu_pre_ff", "mean_norm"),
            *n.norm(f"{block}.norm_softplus_pre_ff", "scale_norm"),
        ]
        for name, path in (("to_q", "to_query"), ("to_k", "to_key"), ("to_v", "to_value")):
            entries += n.dense(f"{block}.{name}", path, use_bias=False)
        if self.dual_gru:
            entries += n.dual_gru(f"{block}.gru.cell", "gru")
        else:
            entries += n.recurrent(f"{block}.gru", "gru")
            entries += n.dense(f"{block}.project_update", "gru_input")
        for name, path in (("mlp_mu", "mean"), ("mlp_softplus", "scale")):
            entries += n.dense(f"{block}.{name}.0", f"{path}_hidden")
            entries += n.dense(f"{block}.{name}.2", f"{path}_output")
        entries += n.positioned_decoder(f"{block}.image_decoder", "image_decoder", self.decoder)
        for name, path in (("z_linear.0", "hidden"), ("z_mu", "mean"), ("z_softplus", "scale")):
            entries += n.dense(f"{block}.indep_prior.{name}", f"conditional_prior/{path}")
        entries += n.recurrent("refinenet.recurrence", "refiner/gru")
        for name, path in (
            ("encoding.0", "hidden"),
            ("encoding.2", "encoding"),
            ("loc", "mean"),
            ("softplus", "scale"),
        ):
            entries += n.dense(f"refinenet.{name}", f"refiner/{path}")
        return entries


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def _inverse_softplus(x: np.ndarray) -> np.ndarray:
    return np.log(np.expm1(np.maximum(x, 1e-30)))
