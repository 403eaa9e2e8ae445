"""SBD-VAE and DC-VAE of "Reconstruction bottlenecks in object-centric generative models" (Engelcke et al. 2020).

These are GENESIS's component VAEs with one slot that covers the whole image. The GENESIS paper's own baselines, one of
which is called DC-VAE as well, are other networks: see image_vae.py.
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
from ocgm.modules.component_vae import ComponentVAE
from ocgm.modules.distributions import sample_gaussian, standard_normal

DECODERS = ("broadcast", "deconv")


class OneSlotVAE(nn.Module):
    """GENESIS's component VAE on whole images.

    Attributes:
      image_size: side of the images; 32, 64, 128 or 256 ("deconv": 32 or 64).
      latent_size: size of z.
      decoder: "broadcast" (SBD-VAE: small encoder, spatial broadcast decoder) or "deconv" (DC-VAE: gated encoder and
        decoder with batch norm).
      width: channels of the SBD-VAE's first layer.
      component_sigma: standard deviation of the pixel likelihood.
      dtype: dtype of the convolutions, float32 or bfloat16; parameters and losses are float32.
    """

    image_size: int
    latent_size: int = 16
    decoder: str = "broadcast"
    width: int = 32
    component_sigma: float = 0.7
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        check_choice("one_slot_vae: decoder", self.decoder, DECODERS)
        gated.check(self.image_size, self.decoder == "deconv")
        super().__post_init__()

    def setup(self) -> None:
        self.vae = ComponentVAE(
            self.image_size,
            self.latent_size,
            out_features=3,
            features=self.width,
            symmetric=self.decoder == "deconv",
            dtype=self.dtype,
        )

    def __call__(self, images: jax.Array, *, train: bool, deterministic: bool = False) -> Outputs:
        """Encode and reconstruct.

        Returns:
          `Outputs` with one slot. KL term: `latents` [B, 1].
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        log_masks = jnp.zeros((*images.shape[:3], 1))[:, None]
        mean, sigma = self.vae.infer(images, log_masks, train)
        latent = Latent(mean, sigma, sample_gaussian(self, mean, sigma, deterministic))
        components = nn.sigmoid(self.vae.decode(latent.sample, train))
        error = losses.mixture_negative_log_likelihood(
            images, components, log_masks, self.component_sigma
        )
        return Outputs(
            reconstruction=components[:, 0],
            components=components,
            log_masks=log_masks,
            slots=latent.sample,
            active_slots=jnp.ones((len(images), 1), bool),
            reconstruction_error=error,
            kl={"latents": losses.monte_carlo_kl(latent.sample, mean, sigma)},
            latents={"slots": latent},
        )

    def features(self, images: jax.Array) -> jax.Array:
        """Return a sample z, [B, D]."""
        return self(images, train=False).slots[:, 0]

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, 1, D] to images."""
        components = nn.sigmoid(self.vae.decode(slots, train=False))
        return Sample(components[:, 0], components, jnp.zeros_like(components[..., :1]))

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw images from the prior; uses the `latent` stream. There is only one slot."""
        check_one_slot("one_slot_vae", num_slots)
        return self.decode_slots(standard_normal(self, (batch_size, 1, self.latent_size)))
