"""BD-VAE and DC-VAE, the baselines of the GENESIS paper (Engelcke et al., ICLR 2020, appendix B).

Gated convolutions without any norm and a 64-dimensional latent. The reconstruction-bottlenecks paper has another pair,
one of which is called DC-VAE as well: see one_slot_vae.py.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import check_choice
from ocgm.models.base import Latent, Outputs, Sample, check_one_slot
from ocgm.modules import gated
from ocgm.modules.broadcast_decoders import SpatialBroadcastDecoder
from ocgm.modules.distributions import posterior_sigma, sample_gaussian, standard_normal
from ocgm.modules.gated import GatedDecoder, GatedEncoder
from ocgm.modules.layers import Conv, Dense

DECODERS = ("broadcast", "deconv")
_BROADCAST_FEATURES = 64


class ImageVAE(nn.Module):
    """VAE of whole images.

    Attributes:
      image_size: side of the images; 32, 64, 128 or 256.
      latent_size: size of z.
      decoder: "broadcast" (BD-VAE: spatial broadcast decoder) or "deconv" (DC-VAE: gated transposed convolutions).
      component_sigma: standard deviation of the pixel likelihood.
      dtype: dtype of the convolutions, float32 or bfloat16; parameters and losses are float32.
    """

    image_size: int
    latent_size: int = 64
    decoder: str = "broadcast"
    component_sigma: float = 0.7
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        check_choice("image_vae: decoder", self.decoder, DECODERS)
        gated.check(self.image_size, symmetric=False)
        super().__post_init__()

    def setup(self) -> None:
        self.encoder = GatedEncoder(256, dtype=self.dtype)
        self.mean = Dense(self.latent_size)
        self.sigma = Dense(self.latent_size)
        if self.decoder == "deconv":
            self.deconv_decoder = GatedDecoder(self.image_size, out_features=3, dtype=self.dtype)
        else:
            self.broadcast_decoder = SpatialBroadcastDecoder(
                self.image_size,
                _BROADCAST_FEATURES,
                out_features=_BROADCAST_FEATURES,
                dtype=self.dtype,
            )
            # One layer more than GENESIS's component decoder, in the authors' code.
            self.output = Conv(3, 1, dtype=self.dtype)

    def __call__(self, images: jax.Array, *, train: bool, deterministic: bool = False) -> Outputs:
        """Encode and reconstruct.

        Returns:
          `Outputs` with one slot. KL term: `latents` [B, 1].
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        encoding = self.encoder(images, train).astype(jnp.float32)
        mean, sigma = self.mean(encoding), posterior_sigma(self.sigma(encoding))
        z = sample_gaussian(self, mean, sigma, deterministic)
        reconstruction = self.decode(z)
        log_density = losses.gaussian_log_density(images, reconstruction, self.component_sigma)
        return Outputs(
            reconstruction=reconstruction,
            components=reconstruction[:, None],
            log_masks=jnp.zeros_like(reconstruction[:, None, ..., :1]),
            slots=z[:, None],
            active_slots=jnp.ones((len(images), 1), bool),
            reconstruction_error=-jnp.sum(log_density, axis=(1, 2, 3)),
            kl={"latents": losses.monte_carlo_kl(z, mean, sigma)[:, None]},
            latents={"slots": Latent(mean[:, None], sigma[:, None], z[:, None])},
        )

    def decode(self, z: jax.Array) -> jax.Array:
        """Decode latents [B, D] to images [B, S, S, 3] in [0, 1]."""
        if self.decoder == "deconv":
            decoded = self.deconv_decoder(z, train=False)
        else:
            decoded = self.output(nn.elu(self.broadcast_decoder(z)))
        return nn.sigmoid(decoded.astype(jnp.float32))

    def features(self, images: jax.Array) -> jax.Array:
        """Return a sample z, [B, D], as in the paper's probes."""
        return self(images, train=False).slots[:, 0]

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, 1, D] to images."""
        images = self.decode(slots[:, 0])
        components = images[:, None]
        return Sample(images, components, jnp.zeros_like(components[..., :1]))

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw images from the prior; uses the `latent` stream. There is only one slot."""
        check_one_slot("image_vae", num_slots)
        return self.decode_slots(standard_normal(self, (batch_size, 1, self.latent_size)))
