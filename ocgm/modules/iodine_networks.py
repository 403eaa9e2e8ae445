"""Networks of IODINE: decoder and refinement network (Greff et al. 2019, section 3 and appendix B)."""

import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.broadcast import BroadcastConv, coordinates
from ocgm.modules.initializers import sonnet_init
from ocgm.modules.layers import Conv, Dense, add_bias
from ocgm.modules.logistic_mixture import Pixels
from ocgm.modules.slots import fold_slots

COORDINATES = ("linear", "cosine")
DECODER_LAYERS = 5

_Dense = functools.partial(Dense, layer_init=sonnet_init)
_Conv = functools.partial(Conv, layer_init=sonnet_init)

# State of the LSTM: (h, c), or () without one.
State = tuple[jax.Array, ...]


class Gradients(NamedTuple):
    """Gradients of a loss with respect to the posterior, [B, K, 2D], and the decoder's output, [B, K, S, S, 4]."""

    posterior: jax.Array
    decoded: jax.Array


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
        """Decode latents [B, D] to mask logits and component means, [B, image_size, image_size, 4]."""
        k, p = self.kernel_size, self.kernel_size // 2
        z = jnp.concatenate([z, jnp.full((len(z), 1), 5.0)], axis=-1)
        settings: dict[str, Any] = {"kernel_size": k, "padding": p, "dtype": self.dtype}
        first = BroadcastConv(
            self.features, self.image_size, layer_init=sonnet_init, name="conv_0", **settings
        )
        x = first(z)
        for i in range(1, DECODER_LAYERS):
            features = 4 if i == DECODER_LAYERS - 1 else self.features
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
        """Encode maps [B, S, S, C] to vectors [B, mlp_sizes[-1]]."""
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
    """LSTM cell of Sonnet 1: one bias, gates in the order i, j, f, o, and 1 added to the forget gate.

    Attributes:
      hidden: size of the state.
    """

    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array, state: State) -> tuple[jax.Array, State]:
        """Return output [..., hidden] and new state from input [..., C] and state (h, c), each [..., hidden]."""
        h, c = state
        x = jnp.concatenate([x, h], axis=-1)
        # Unlike in other layers, the bias is random too.
        init, _ = sonnet_init(x.shape[-1])
        kernel = self.param("kernel", init, (x.shape[-1], 4 * self.hidden))
        bias = self.param("bias", init, (4 * self.hidden,))
        i, j, f, o = jnp.split(add_bias(x @ kernel, bias), 4, axis=-1)
        c = nn.sigmoid(f + 1.0) * c + nn.sigmoid(i) * jnp.tanh(j)
        h = jnp.tanh(c) * nn.sigmoid(o)
        return h, (h, c)


class RefinementInputs(nn.Module):
    """Inputs of the refinement network (section 3.2 and appendix B).

    Gradients, likelihoods and counterfactuals are constants, normalised over all axes but batch and slots, with a
    learned scale and bias for each channel; the other inputs pass gradients on.

    Attributes:
      coordinates: "linear" or "cosine".
    """

    coordinates: str

    @nn.compact
    def __call__(
        self, images: jax.Array, pixels: Pixels, posterior: jax.Array, gradients: Gradients
    ) -> tuple[jax.Array, jax.Array]:
        """Return maps [B, K, S, S, C] and vectors [B, K, 4D + 1]."""

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
        channels = [jnp.broadcast_to(x, shape + x.shape[-1:]) for _, x in sorted(maps.items())]
        vectors = [
            normalised("dzp", gradients.posterior, axes=-1),
            jnp.full((*shape[:2], 1), 0.5),
            posterior,
        ]
        return jnp.concatenate(channels, axis=-1), jnp.concatenate(vectors, axis=-1)


def linear_coordinates(side: int) -> jax.Array:
    """Return pixel coordinates [side, side, 2]: x along columns, then y along rows, each linspace(-1, 1)."""
    return coordinates(side, side)[..., ::-1]


def cosine_coordinates(side: int) -> jax.Array:
    """Return products cos(f x) cos(g y), [side, side, 8], of pixel coordinates in [0, pi].

    f varies slower than g; both are in 0, 1, 2, and not both are 0.
    """
    waves = jnp.cos(jnp.arange(3)[:, None] * jnp.linspace(0.0, math.pi, side)[None])
    return jnp.einsum("fx,gy->yxfg", waves, waves).reshape(side, side, 9)[..., 1:]


class Refiner(nn.Module):
    """One step of refinement: an additive update of the posteriors.

    Attributes:
      features, kernel_size, num_layers, mlp_sizes, dtype: see `Encoder`.
      lstm_size: size of the LSTM's state; 0 for none.
      coordinates: see `RefinementInputs`.
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
        """Return new posteriors [B, K, 2D] and state (h, c), each [B, K, lstm_size]; () without an LSTM."""
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
