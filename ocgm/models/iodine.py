"""IODINE (Greff, Lopez Kaufman, Kabra, Watters, Burgess, Zoran, Matthey, Botvinick and Lerchner, ICML 2019).

Where the paper and the published configurations differ this follows the configurations; docs/iodine.md lists the
differences.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, InputError
from ocgm.interop import torch_names
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules import layers
from ocgm.modules.decoders import fold_slots
from ocgm.modules.distributions import standard_normal
from ocgm.modules.layers import BroadcastConv, Conv, Dense, Initializer, sonnet_init
from ocgm.modules.refinement import loss_weights, recomputed

COORDINATES = ("linear", "cosine")
# The prior is the posterior's family with all parameters 0.
PRIOR_SIGMA = math.sqrt(math.log(2.0))
_DECODER_LAYERS = 5

_Dense = functools.partial(Dense, layer_init=sonnet_init)
_Conv = functools.partial(Conv, layer_init=sonnet_init)

# Of the LSTM: (h, c), or () without one.
State = tuple[jax.Array, ...]


def gaussian(posterior: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation [..., D] of posteriors [..., 2D]; the second half's softplus is the variance."""
    mean, raw = jnp.split(posterior, 2, axis=-1)
    return mean, jnp.sqrt(nn.softplus(raw))


def sample_posterior(posterior: jax.Array, noise: jax.Array) -> jax.Array:
    """[B, K, 2D] and N(0, I) noise [B, K, D] -> [B, K, D]."""
    mean, sigma = gaussian(posterior)
    return mean + sigma * noise


def posterior_kl(posterior: jax.Array) -> jax.Array:
    """Divergence of posteriors [B, K, 2D] from the prior, [B, K] nats."""
    return losses.gaussian_kl(*gaussian(posterior), 0.0, PRIOR_SIGMA)


class Pixels(NamedTuple):
    """What the decoder's output says of images.

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
        """Negative log-likelihood, [B] nats an image."""
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
    """Likelihood of images [B, S, S, 3] under the decoder's output [B, K, S, S, 4]: mask logit, then the mean.

    The distribution of every component is logistic.
    """
    mask_logits, components = decoded[..., :1], decoded[..., 1:]
    log_masks = nn.log_softmax(mask_logits, axis=1)
    log_density = losses.logistic_log_density(images[:, None], components, pixel_scale)
    log_density = jnp.sum(log_density, axis=-1, keepdims=True)
    log_likelihood = nn.logsumexp(log_masks + log_density, axis=1, keepdims=True)
    return Pixels(components, mask_logits, log_masks, log_density, log_likelihood)


class Gradients(NamedTuple):
    """Gradients of an iterate's loss: of its posterior, [B, K, 2D], and of the decoder's output, [B, K, S, S, 4]."""

    posterior: jax.Array
    decoded: jax.Array


def gradients_for_refinement(
    decode: Callable[[jax.Array], jax.Array],
    posterior: jax.Array,
    noise: jax.Array,
    images: jax.Array,
    weights: losses.LossWeights,
    pixel_scale: float,
) -> Gradients:
    """Gradients of an iterate's loss, with one backward pass through the decoder.

    Args:
      decode: latents [B, K, D] -> [B, K, S, S, 4].
      posterior: [B, K, 2D].
      noise: of the sample that is decoded, [B, K, D].
      images: [B, S, S, 3].
      weights: of mean error and mean KL, in the loss.
      pixel_scale: of the logistic distribution.
    """

    def weighted_error(decoded):
        return weights.error_weight * jnp.mean(explain(images, decoded, pixel_scale).error)

    def weighted_kl(posterior):
        return weights.beta * jnp.mean(jnp.sum(posterior_kl(posterior), axis=1))

    decoded, pull_back = jax.vjp(lambda x: decode(sample_posterior(x, noise)), posterior)
    of_decoded = jax.grad(weighted_error)(decoded)
    (of_posterior,) = pull_back(of_decoded)
    return Gradients(of_posterior + jax.grad(weighted_kl)(posterior), of_decoded)


class Decoder(nn.Module):
    """Spatial broadcast decoder: a constant and pixel coordinates are appended to the tiled latent.

    Attributes:
      image_size: side of the output.
      features: channels of the hidden layers.
      kernel_size: side of the square kernels; odd.
      dtype: dtype of the convolutions.
    """

    image_size: int
    features: int
    kernel_size: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Latents [B, D] -> mask logit and component mean, [B, image_size, image_size, 4]."""
        k, p = self.kernel_size, self.kernel_size // 2
        z = jnp.concatenate([z, jnp.full((len(z), 1), 5.0)], axis=-1)
        settings = {"kernel_size": k, "padding": p, "dtype": self.dtype}
        first = BroadcastConv(
            self.features, self.image_size, layer_init=sonnet_init, name="conv_0", **settings
        )
        x = first(z)
        for i in range(1, _DECODER_LAYERS):
            features = 4 if i == _DECODER_LAYERS - 1 else self.features
            x = _Conv(features, name=f"conv_{i}", **settings)(nn.elu(x))
        return x


class Encoder(nn.Module):
    """Strided convolutions, a mean over positions and an MLP.

    Attributes:
      features: channels of every convolution.
      kernel_size: side of the square kernels.
      num_layers: convolutions; each halves the side.
      mlp_sizes: sizes of the MLP's layers.
      dtype: dtype of the convolutions.
    """

    features: int
    kernel_size: int
    num_layers: int
    mlp_sizes: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, S, S, C] -> [B, mlp_sizes[-1]]."""
        for i in range(self.num_layers):
            conv = _Conv(
                self.features, self.kernel_size, 2, "SAME", dtype=self.dtype, name=f"conv_{i}"
            )
            x = nn.elu(conv(x))
        x = jnp.mean(x.astype(jnp.promote_types(x.dtype, jnp.float32)), axis=(1, 2))
        for i, size in enumerate(self.mlp_sizes):
            x = _Dense(size, name=f"linear_{i}")(nn.elu(x) if i else x)
        return x


class LSTM(nn.Module):
    """LSTM cell as Sonnet 1 has it: one bias, gates in the order i, j, f, o, and 1 added to the forget gate.

    Attributes:
      hidden: size of the state.
    """

    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array, state: State) -> tuple[jax.Array, State]:
        """Input [..., C] and state (h, c), each [..., hidden] -> output [..., hidden] and new state."""
        h, c = state
        x = jnp.concatenate([x, h], axis=-1)
        # Unlike those of other layers the bias is drawn too.
        init, _ = sonnet_init(x.shape[-1])
        kernel = self.param("kernel", init, (x.shape[-1], 4 * self.hidden))
        bias = self.param("bias", init, (4 * self.hidden,))
        i, j, f, o = jnp.split(x @ kernel + bias, 4, axis=-1)
        c = nn.sigmoid(f + 1.0) * c + nn.sigmoid(i) * jnp.tanh(j)
        h = jnp.tanh(c) * nn.sigmoid(o)
        return h, (h, c)


class RefinementInputs(nn.Module):
    """What the refinement network sees of an iterate (section 3.2 and appendix B).

    Gradients, likelihoods and counterfactuals are constants and normalised over everything but batch and slots, with a
    learned scale and bias for each channel; all else passes gradients on.

    Attributes:
      coordinates: "linear" or "cosine".
    """

    coordinates: str

    @nn.compact
    def __call__(
        self, images: jax.Array, pixels: Pixels, posterior: jax.Array, gradients: Gradients
    ) -> tuple[jax.Array, jax.Array]:
        """Maps [B, K, S, S, C] and vectors [B, K, 4D + 1]."""

        def normalised(name, x, axes=(-3, -2, -1)):
            norm = nn.LayerNorm(
                1e-5,
                reduction_axes=axes,
                feature_axes=-1,
                use_fast_variance=False,
                name=f"norm_{name}",
            )
            return norm(jax.lax.stop_gradient(x))

        positions = {"linear": linear_coordinates, "cosine": cosine_coordinates}[self.coordinates]
        maps = {
            "capacity": jnp.full(images.shape[1:3] + (1,), 0.5),
            "components": pixels.components,
            "coordinates": positions(images.shape[1]),
            "counterfactual": normalised("counterfactual", pixels.counterfactual),
            "dcomponents": normalised("dcomponents", gradients.decoded[..., 1:]),
            "dmask": normalised("dmask", gradients.decoded[..., :1]),
            "image": images[:, None],
            "log_prob": normalised("log_prob", pixels.log_likelihood),
            "mask": pixels.mask_logits,
            "posterior": pixels.responsibilities,
            "pred_mask": jnp.exp(pixels.log_masks),
        }
        shape = pixels.components.shape[:-1]
        # The published networks have the channels in the order of these names.
        maps = [jnp.broadcast_to(x, shape + x.shape[-1:]) for _, x in sorted(maps.items())]
        vectors = [
            normalised("dzp", gradients.posterior, axes=-1),
            jnp.full((*shape[:2], 1), 0.5),
            posterior,
        ]
        return jnp.concatenate(maps, axis=-1), jnp.concatenate(vectors, axis=-1)


def linear_coordinates(side: int) -> jax.Array:
    """Pixel coordinates [side, side, 2]: x along columns, then y along rows, each linspace(-1, 1)."""
    return layers.coordinates(side, side)[..., ::-1]


def cosine_coordinates(side: int) -> jax.Array:
    """Products cos(f x) cos(g y) of pixel coordinates in [0, pi], [side, side, 8]: f, then g in 0, 1, 2, not both 0."""
    waves = jnp.cos(jnp.arange(3)[:, None] * jnp.linspace(0.0, math.pi, side))
    return jnp.einsum("fx,gy->yxfg", waves, waves).reshape(side, side, 9)[..., 1:]


class Refiner(nn.Module):
    """One step of refinement: an additive update of the posteriors.

    Attributes:
      features, kernel_size, num_layers, mlp_sizes, dtype: of the `Encoder`.
      lstm_size: size of the LSTM's state; 0 for none.
      coordinates: as of `RefinementInputs`.
    """

    features: int
    kernel_size: int
    num_layers: int
    mlp_sizes: tuple[int, ...]
    lstm_size: int
    coordinates: str
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        pixels: Pixels,
        posterior: jax.Array,
        gradients: Gradients,
        state: State,
    ) -> tuple[jax.Array, State]:
        """New posteriors [B, K, 2D] and state (h, c), each [B, K, lstm_size]; () without an LSTM."""
        inputs = RefinementInputs(self.coordinates, name="inputs")
        maps, vectors = inputs(images, pixels, posterior, gradients)
        encoder = Encoder(
            self.features,
            self.kernel_size,
            self.num_layers,
            self.mlp_sizes,
            self.dtype,
            name="encoder",
        )
        x = jnp.concatenate([fold_slots(encoder, maps), vectors], axis=-1)
        if self.lstm_size:
            x, state = LSTM(self.lstm_size, name="lstm")(x, state)
        return posterior + _Dense(posterior.shape[-1], name="head")(x), state


def _vector_init(size: int) -> Initializer:
    """TensorFlow's default for a vector: Glorot's uniform distribution with its size as fan-in and fan-out."""
    bound = math.sqrt(3.0 / size)
    return functools.partial(jax.random.uniform, minval=-bound, maxval=bound)


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
      coordinates: how the refinement network is told a pixel's position, "linear" or "cosine".
      pixel_scale: scale of the logistic distribution of pixels.
      train_gradient_batch: images that the loss for the refinement's gradient is a mean over while training; 0 means
        the batch at hand. The gradients are normalised with an epsilon that is not small beside them, so this matters:
        give the batch per device of the run to be reproduced.
      eval_gradient_batch: the same for evaluation.
      remat: compute each step's activations anew in the backward pass instead of keeping them: memory then hardly grows
        with T, at the price of a second forward pass.
      dtype: of the convolutions, float32 or bfloat16; all else is float32.
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
        if self.coordinates not in COORDINATES:
            raise ConfigError(
                f"iodine: coordinates={self.coordinates!r} is not one of {COORDINATES}."
            )
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
        self.initial_posterior = self.param("initial_posterior", _vector_init(size), (size,))
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
        """Infer slots and reconstruct.

        Args:
          images, train, num_slots: as of every model (`ocgm.models.base.Model`).
          deterministic: decode posterior means instead of samples. The first sample is drawn all the same: slots start
            with one posterior, and only it tells them apart.
          refinement_steps: T, instead of the configured one.

        Returns:
          `Outputs` of the last iterate; the means of the components, which the likelihood sees as they are, are clipped
          to [0, 1]. KL term: `latents` [B, K].

        Raises:
          InputError: less than one step.
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        steps = self.refinement_steps if refinement_steps is None else refinement_steps
        if steps < 1:
            raise InputError(f"refinement_steps={steps} must be at least 1.")
        shape = (len(images), num_slots or self.num_slots, self.latent_size)
        posterior = jnp.broadcast_to(
            self.initial_posterior, (*shape[:2], self.initial_posterior.size)
        )
        state = (jnp.zeros((*shape[:2], self.lstm_size)),) * 2 if self.lstm_size else ()
        if self.is_initializing():
            self.make_parameters(images, posterior, state)

        weights = loss_weights(self)
        gradient_batch = self.train_gradient_batch if train else self.eval_gradient_batch
        gradient_scale = len(images) / (gradient_batch or len(images))
        decoder, of_decoder = self.decoder.unbind()
        refiner, of_refiner = self.refiner.unbind()
        parameters = (of_decoder, of_refiner)

        def decode(parameters, z):
            return fold_slots(functools.partial(decoder.apply, parameters), z)

        decode_fixed = functools.partial(decode, jax.lax.stop_gradient(of_decoder))

        def evaluate(posterior, noise, images, of_decoder):
            decoded = decode(of_decoder, sample_posterior(posterior, noise))
            pixels, kl = explain(images, decoded, self.pixel_scale), posterior_kl(posterior)
            loss = weights.error_weight * jnp.mean(pixels.error)
            return loss + weights.beta * jnp.mean(jnp.sum(kl, axis=1)), pixels, kl

        def step(posterior, state, noise, gradients, images, parameters):
            of_decoder, of_refiner = parameters
            loss, pixels, kl = evaluate(posterior, noise, images, of_decoder)
            posterior, state = refiner.apply(
                of_refiner, images, pixels, posterior, gradients, state
            )
            return loss, pixels.error, kl, posterior, state

        if self.remat:
            step = recomputed(step)

        total = 0.0
        for t in range(steps):
            # Slots start alike but for the first noise.
            noise = standard_normal(self, shape, deterministic and t > 0)
            # Of constants, so that no second derivatives are ever made. The decoder's forward pass in here is the one
            # of `evaluate`, operation by operation, and XLA merges the two.
            fixed = jax.lax.stop_gradient((posterior, noise, images))
            gradients = gradients_for_refinement(decode_fixed, *fixed, weights, self.pixel_scale)
            gradients = jax.tree.map(lambda g: gradient_scale * g, gradients)
            before = posterior
            loss, error, kl, posterior, state = step(
                posterior, state, noise, gradients, images, parameters
            )
            self.sow("intermediates", "iterates", (before, error, kl))
            if t:
                total = total + t / steps * loss
        noise = standard_normal(self, shape, deterministic)
        loss, pixels, kl = evaluate(posterior, noise, images, of_decoder)
        self.sow("intermediates", "iterates", (posterior, pixels.error, kl))

        slots = sample_posterior(posterior, noise)
        scene = _scene(pixels.components, pixels.log_masks)
        return Outputs(
            reconstruction=scene.images,
            components=scene.components,
            log_masks=scene.log_masks,
            slots=slots,
            active_slots=jnp.ones(shape[:2], bool),
            reconstruction_error=pixels.error,
            kl={"latents": kl},
            latents={"slots": Latent(*gaussian(posterior), slots)},
            loss=total + loss if train else None,
        )

    def make_parameters(self, images: jax.Array, posterior: jax.Array, state: State) -> None:
        """Initialise the parts that are only ever called as functions of their parameters."""
        decoded = fold_slots(self.decoder, gaussian(posterior)[0])
        pixels = explain(images, decoded, self.pixel_scale)
        self.refiner(images, pixels, posterior, Gradients(posterior, decoded), state)

    def features(self, images: jax.Array) -> jax.Array:
        """Posterior means of all slots as one vector, [B, K * D]; the paper's probes take them slot by slot."""
        return self(images, train=False).latents["slots"].mean.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """The scene that latents [B, K, D] describe."""
        decoded = fold_slots(self.decoder, slots)
        return _scene(decoded[..., 1:], nn.log_softmax(decoded[..., :1], axis=1))

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior; uses the `latent` stream."""
        shape = (batch_size, num_slots or self.num_slots, self.latent_size)
        return self.decode_slots(PRIOR_SIGMA * standard_normal(self, shape))

    def torch_entries(self) -> list[torch_names.Entry]:
        """Names of the authors' parameters, which are TensorFlow's with the layouts that ours have."""
        decoder, encoder = "pixel_decoder/broadcast_conv/conv_net_2d", "encoder_net/cnn"
        blocks = [
            *((f"{decoder}/conv_2d_{i}", f"decoder/conv_{i}") for i in range(_DECODER_LAYERS)),
            *(
                (f"{encoder}/conv_net_2d/conv_2d_{i}", f"refiner/encoder/conv_{i}")
                for i in range(self.encoder_layers)
            ),
            *(
                (f"{encoder}/mlp/linear_{i}", f"refiner/encoder/linear_{i}")
                for i in range(len(self.mlp_sizes))
            ),
            ("refinement_head/residual_head/linear", "refiner/head"),
        ]
        names = [("model/iodine/initial_sample_distribution", "initial_posterior")]
        for theirs, ours in blocks:
            names += [(f"{theirs}/w", f"{ours}/kernel"), (f"{theirs}/b", f"{ours}/bias")]
        if self.lstm_size:
            for theirs, ours in (("w_gates", "kernel"), ("b_gates", "bias")):
                names.append((f"recurrent_net/lstm/lstm/{theirs}", f"refiner/lstm/{ours}"))
        for norm in ("counterfactual", "dcomponents", "dmask", "dzp", "log_prob"):
            theirs, ours = (
                f"model/iodine/preprocess/layer_norm_{norm}",
                f"refiner/inputs/norm_{norm}",
            )
            names += [(f"{theirs}/gamma", f"{ours}/scale"), (f"{theirs}/beta", f"{ours}/bias")]
        return [torch_names.same(theirs, ours) for theirs, ours in names]


def _scene(components: jax.Array, log_masks: jax.Array) -> Sample:
    """A scene of component means that may leave [0, 1]."""
    components = jnp.clip(components, 0.0, 1.0)
    return Sample(losses.mixture_mean(components, log_masks), components, log_masks)
