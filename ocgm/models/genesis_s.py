"""GENESIS-S (Engelcke et al., ICLR 2020, section 3): GENESIS with one latent per slot for mask and appearance.

Where the paper and the authors' code differ this follows the code; docs/genesis.md lists the differences.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, check_choice
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules import gated
from ocgm.modules.broadcast_decoders import SpatialBroadcastDecoder
from ocgm.modules.distributions import standard_normal
from ocgm.modules.mask_vae import MaskVAE
from ocgm.modules.priors import AutoregressivePrior
from ocgm.modules.slots import over_slots


class GenesisS(nn.Module):
    """GENESIS-S: an autoregressive VAE whose latents decode to masks and, by a second decoder, to components.

    Attributes:
      num_slots: K, at least 2.
      image_size: side of the images; 32, 64, 128 or 256.
      latent_size: size of z_k.
      decoder_features: width of the component decoder.
      likelihood: "mixture" of Gaussians for each pixel and channel, as in the authors' code, or for each "pixel", as in
        the papers.
      encoder_norm, decoder_norm, component_sigma, sample_bounded_mean, dtype: see `Genesis`.
    """

    num_slots: int
    image_size: int
    latent_size: int = 64
    decoder_features: int = 32
    likelihood: str = "mixture"
    component_sigma: float = 0.7
    encoder_norm: str = "batch"
    decoder_norm: str = "batch"
    sample_bounded_mean: bool = True
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        if self.num_slots < 2:
            raise ConfigError(
                f"genesis_s: num_slots={self.num_slots}; at least 2 are needed, since the last slot's mask is the"
                " remainder of the others."
            )
        check_choice("genesis_s: likelihood", self.likelihood, losses.MIXTURES)
        gated.check(self.image_size, False, self.encoder_norm, self.decoder_norm)
        super().__post_init__()

    def setup(self) -> None:
        norms = (self.encoder_norm, self.decoder_norm)
        self.mask_vae = MaskVAE(self.image_size, self.latent_size, norms, dtype=self.dtype)
        self.decoder = over_slots(SpatialBroadcastDecoder)(
            self.image_size, self.decoder_features, out_features=3, dtype=self.dtype
        )
        self.prior = AutoregressivePrior(self.latent_size, hidden=256)

    def __call__(
        self, images: jax.Array, *, train: bool, num_slots: int = 0, deterministic: bool = False
    ) -> Outputs:
        """Infer slots and reconstruct.

        Returns:
          `Outputs`. KL term: `latents` [B, K].
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        shape = (len(images), num_slots or self.num_slots)
        noise = standard_normal(self, (*shape, self.latent_size), deterministic)
        latent = Latent(*self.mask_vae.infer(images, noise, train))
        log_masks = self.mask_vae.decode(latent.sample, train)
        components = self._components(latent.sample)
        error = losses.MIXTURES[self.likelihood](
            images, components, log_masks, self.component_sigma
        )
        kl = losses.monte_carlo_kl(
            latent.sample, latent.mean, latent.sigma, *self.prior(latent.sample)
        )
        return Outputs(
            reconstruction=losses.mixture_mean(components, log_masks),
            components=components,
            log_masks=log_masks,
            slots=latent.sample,
            active_slots=jnp.ones(shape, bool),
            reconstruction_error=error,
            kl={"latents": kl},
            latents={"slots": latent},
        )

    def features(self, images: jax.Array) -> jax.Array:
        """Return samples z_1, ..., z_K as one vector, [B, K * D], as in the paper's probes."""
        return self(images, train=False).slots.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, K, D] to a scene."""
        log_masks, components = self.mask_vae.decode(slots, train=False), self._components(slots)
        return Sample(losses.mixture_mean(components, log_masks), components, log_masks)

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior; uses the `latent` stream."""
        shape = (batch_size, num_slots or self.num_slots, self.latent_size)
        return self.decode_slots(
            self.prior.sample(standard_normal(self, shape), self.sample_bounded_mean)
        )

    def _components(self, z: jax.Array) -> jax.Array:
        return nn.sigmoid(self.decoder(z).astype(jnp.float32))
