"""GENESIS (Engelcke, Kosiorek, Parker Jones and Posner, ICLR 2020), and its symmetric variant (Engelcke et al. 2020,
"Reconstruction bottlenecks in object-centric generative models").

Where the papers and the authors' code differ this follows the code; docs/genesis.md lists the differences.
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
from ocgm.modules.component_vae import ComponentVAE
from ocgm.modules.distributions import sample_gaussian, standard_normal
from ocgm.modules.mask_vae import MaskVAE
from ocgm.modules.priors import AutoregressivePrior, ComponentPrior


class Genesis(nn.Module):
    """GENESIS: an autoregressive VAE over masks, then a VAE over the pixels under each mask.

    Attributes:
      num_slots: K, at least 2.
      image_size: side of the images; 32, 64, 128 or 256.
      mask_latent_size: size of z^m_k.
      component_latent_size: size of z^c_k.
      component_features: width of the asymmetric component VAE.
      symmetric: component VAE with the mask VAE's gated encoder and decoder; image_size 32 or 64.
      component_prior: learn p(z^c_k | z^m_k); otherwise N(0, I).
      encoder_norm, decoder_norm: norms of the gated layers, "batch", "instance" or "none".
      likelihood: "mixture" of Gaussians for each pixel and channel, as in the authors' code, or for each "pixel", as in
        the papers; or one "gaussian" around the mixture's mean (EfficientMORL's comparison).
      component_sigma: standard deviation of the pixel likelihood.
      sample_bounded_mean: in `sample`, bound the means of p(z^m_k | z^m_<k) by tanh as training does. The authors' code
        omits the tanh in sampling; False reproduces that.
      dtype: dtype of the convolutions, float32 or bfloat16; parameters, masks and losses are float32.
    """

    num_slots: int
    image_size: int
    mask_latent_size: int = 64
    component_latent_size: int = 16
    component_features: int = 32
    symmetric: bool = False
    component_prior: bool = True
    encoder_norm: str = "batch"
    decoder_norm: str = "batch"
    likelihood: str = "mixture"
    component_sigma: float = 0.7
    sample_bounded_mean: bool = True
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        gated.check(self.image_size, self.symmetric, self.encoder_norm, self.decoder_norm)
        if self.num_slots < 2:
            raise ConfigError(
                f"genesis: num_slots={self.num_slots}; at least 2 are needed. GENESIS with one slot is the model"
                " one_slot_vae."
            )
        check_choice("genesis: likelihood", self.likelihood, losses.LIKELIHOODS)
        super().__post_init__()

    def setup(self) -> None:
        norms = (self.encoder_norm, self.decoder_norm)
        self.mask_vae = MaskVAE(self.image_size, self.mask_latent_size, norms, dtype=self.dtype)
        self.component_vae = ComponentVAE(
            self.image_size,
            self.component_latent_size,
            out_features=3,
            features=self.component_features,
            symmetric=self.symmetric,
            norms=norms,
            dtype=self.dtype,
        )
        self.mask_prior = AutoregressivePrior(self.mask_latent_size, hidden=256)
        if self.component_prior:
            self.prior_of_components = ComponentPrior(self.component_latent_size)

    def __call__(
        self, images: jax.Array, *, train: bool, num_slots: int = 0, deterministic: bool = False
    ) -> Outputs:
        """Infer masks, then the components under them, and reconstruct.

        Returns:
          `Outputs`; `slots` are [z^m_k, z^c_k]. KL terms: `masks` and `components`, both [B, K].
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        shape = (len(images), num_slots or self.num_slots)

        # Stage 1: masks.
        noise = standard_normal(self, (*shape, self.mask_latent_size), deterministic)
        masks = Latent(*self.mask_vae.infer(images, noise, train))
        log_masks = self.mask_vae.decode(masks.sample, train)

        # Stage 2: components.
        mean, sigma = self.component_vae.infer(images, log_masks, train)
        parts = Latent(mean, sigma, sample_gaussian(self, mean, sigma, deterministic))
        components = nn.sigmoid(self.component_vae.decode(parts.sample, train))
        error = losses.LIKELIHOODS[self.likelihood](
            images, components, log_masks, self.component_sigma
        )

        # Divergence from the priors p(z^m_k | z^m_<k) and p(z^c_k | z^m_k).
        kl = {
            "masks": losses.monte_carlo_kl(
                masks.sample, masks.mean, masks.sigma, *self.mask_prior(masks.sample)
            ),
            "components": losses.monte_carlo_kl(
                parts.sample, mean, sigma, *self._component_prior(masks.sample)
            ),
        }
        return Outputs(
            reconstruction=losses.mixture_mean(components, log_masks),
            components=components,
            log_masks=log_masks,
            slots=jnp.concatenate([masks.sample, parts.sample], axis=-1),
            active_slots=jnp.ones(shape, bool),
            reconstruction_error=error,
            kl=kl,
            latents={"masks": masks, "components": parts},
        )

    def features(self, images: jax.Array) -> jax.Array:
        """Return samples z^m_1, ..., z^m_{K-1}, z^c_1, ..., z^c_K as one vector, [B, F], as in the paper's probes."""
        latents = self(images, train=False).latents
        parts = (latents["masks"].sample[:, :-1], latents["components"].sample)
        return jnp.concatenate([z.reshape(len(images), -1) for z in parts], axis=-1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [z^m_k, z^c_k], [B, K, D], to a scene."""
        z_masks, z_components = jnp.split(slots, [self.mask_latent_size], axis=-1)
        log_masks = self.mask_vae.decode(z_masks, train=False)
        components = nn.sigmoid(self.component_vae.decode(z_components, train=False))
        return Sample(losses.mixture_mean(components, log_masks), components, log_masks)

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior; uses the `latent` stream."""
        shape = (batch_size, num_slots or self.num_slots)
        noise = standard_normal(self, (*shape, self.mask_latent_size))
        z_masks = self.mask_prior.sample(noise, bounded_mean=self.sample_bounded_mean)
        mean, sigma = self._component_prior(z_masks)
        z = mean + sigma * standard_normal(self, (*shape, self.component_latent_size))
        return self.decode_slots(jnp.concatenate([z_masks, z], axis=-1))

    def _component_prior(self, z_masks: jax.Array) -> tuple[jax.Array | float, jax.Array | float]:
        return self.prior_of_components(z_masks) if self.component_prior else (0.0, 1.0)
