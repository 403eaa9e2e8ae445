"""GENESIS's scene segmentation: an autoregressive VAE over masks (Engelcke et al. 2020, section 3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm.modules.distributions import posterior_parameters, posterior_sigma
from ocgm.modules.gated import GatedDecoder, GatedEncoder
from ocgm.modules.layers import Dense
from ocgm.modules.lstm import LSTM
from ocgm.modules.slots import fold_slots
from ocgm.modules.stick_breaking import log_masks_from_logits

_ENCODING_SIZE = 256


class MaskVAE(nn.Module):
    """VAE that infers one latent after another and decodes them to stick-breaking masks.

    Attributes:
      image_size: side of the images.
      latent_size: D.
      norms: norms of the gated layers of encoder and decoder.
      dtype: dtype of the convolutions.
    """

    image_size: int
    latent_size: int
    norms: tuple[str, str] = ("batch", "batch")
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.encoder = GatedEncoder(_ENCODING_SIZE, self.norms[0], dtype=self.dtype)
        self.mean = Dense(self.latent_size)
        self.sigma = Dense(self.latent_size)
        self.lstm = LSTM(_ENCODING_SIZE + self.latent_size, 2 * self.latent_size)
        self.head = Dense(2 * self.latent_size)
        self.decoder = GatedDecoder(self.image_size, 1, self.norms[1], dtype=self.dtype)

    def infer(
        self, images: jax.Array, noise: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Infer q(z_k | x, z_<k) of all slots.

        The first latent depends on the encoding of the image alone, the others on an LSTM of the encoding and the
        latent before.

        Args:
          images: [B, S, S, 3].
          noise: N(0, I) noise of the samples, [B, K, D].
          train: whether to use batch statistics.

        Returns:
          Mean, standard deviation and sample, each [B, K, D].
        """
        encoding = self.encoder(images, train).astype(jnp.float32)
        mean, sigma = self.mean(encoding), posterior_sigma(self.sigma(encoding))
        first = (mean, sigma, mean + sigma * noise[:, 0])

        def step(module, carry, noise_k):
            state, z = carry
            inputs = jnp.concatenate([encoding, z], axis=-1)
            state, h = module.lstm.step_function()(state, inputs)
            mean, sigma = posterior_parameters(module.head(h))
            z = mean + sigma * noise_k
            return (state, z), (mean, sigma, z)

        scan = nn.scan(
            step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1
        )
        carry = (self.lstm.initial_state(len(images)), first[2])
        _, rest = scan(self, carry, noise[:, 1:])
        mean, sigma, sample = (
            jnp.concatenate([one[:, None], others], axis=1)
            for one, others in zip(first, rest, strict=True)
        )
        return mean, sigma, sample

    def decode(self, z: jax.Array, train: bool) -> jax.Array:
        """Decode latents [B, K, D] to log-masks [B, K, S, S, 1].

        The last slot gets the remaining scope; its latent is decoded as well, since the authors' batch statistics are
        over all slots.
        """
        return log_masks_from_logits(fold_slots(lambda z: self.decoder(z, train), z))
