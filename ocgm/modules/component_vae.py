"""VAEs that encode and decode the part of an image that a mask selects."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.broadcast_decoders import SpatialBroadcastDecoder
from ocgm.modules.distributions import posterior_parameters
from ocgm.modules.gated import GatedDecoder, GatedEncoder
from ocgm.modules.layers import Conv, Dense
from ocgm.modules.slots import fold_slots


class ComponentEncoder(nn.Module):
    """Four strided convolutions and a perceptron (GENESIS appendix B; MONet): [B, S, S, in] -> [B, out_features].

    Attributes:
      features: channels of the first layer.
      out_features: size of the output.
      activation: function after every hidden layer.
      dtype: dtype of the computation.
    """

    features: int
    out_features: int
    activation: Callable[[jax.Array], jax.Array] = nn.elu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, multiple in enumerate((1, 1, 2, 2)):
            x = Conv(multiple * self.features, 3, 2, 1, dtype=self.dtype, name=f"conv_{i}")(x)
            x = self.activation(x)
        x = x.reshape(x.shape[0], -1)
        # The papers say 256 units; the authors' code has more where the output needs them.
        hidden = Dense(max(256, self.out_features), dtype=self.dtype, name="hidden")(x)
        return Dense(self.out_features, dtype=self.dtype, name="head")(self.activation(hidden))


class ComponentVAE(nn.Module):
    """One VAE for all slots, which are folded into the batch; batch statistics are over all of them.

    Attributes:
      image_size: side of the images.
      latent_size: D.
      out_features: channels that are decoded.
      features: width of the asymmetric VAE.
      activation: function after the hidden layers of the asymmetric VAE.
      symmetric: gated encoder and decoder instead of a small encoder and a spatial broadcast decoder.
      norms: norms of the gated layers of encoder and decoder.
      dtype: dtype of the computation.
    """

    image_size: int
    latent_size: int
    out_features: int
    features: int = 32
    activation: Callable[[jax.Array], jax.Array] = nn.elu
    symmetric: bool = False
    norms: tuple[str, str] = ("batch", "batch")
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.encoder: nn.Module
        self.decoder: nn.Module
        size, options = 2 * self.latent_size, (self.activation, self.dtype)
        if self.symmetric:
            self.encoder = GatedEncoder(size, self.norms[0], self.dtype)
            self.decoder = GatedDecoder(
                self.image_size, self.out_features, self.norms[1], self.dtype
            )
        else:
            self.encoder = ComponentEncoder(self.features, size, *options)
            self.decoder = SpatialBroadcastDecoder(
                self.image_size, self.features, self.out_features, *options
            )

    def infer(
        self, images: jax.Array, log_masks: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Return posterior mean and standard deviation, [B, K, D], of images [B, S, S, 3] under masks [B, K, S, S, 1].

        The *logarithm* of the mask is the network's first channel.
        """
        images = jnp.broadcast_to(images[:, None], (*log_masks.shape[:4], images.shape[-1]))
        x = jnp.concatenate([log_masks, images], axis=-1)
        return posterior_parameters(self._run(self.encoder, x, train))

    def decode(self, z: jax.Array, train: bool) -> jax.Array:
        """Decode latents [B, K, D] to [B, K, S, S, out_features], before any output non-linearity."""
        return self._run(self.decoder, z, train)

    def _run(self, network: nn.Module, x: jax.Array, train: bool) -> jax.Array:
        return fold_slots((lambda x: network(x, train)) if self.symmetric else network, x)
