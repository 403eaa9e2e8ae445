"""MONet (Burgess et al. 2019) as the GENESIS authors built it; trained with GECO it is their MONet-G.

Where the papers and the authors' code differ this follows the code; docs/monet.md lists the differences.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, InputError, check_choice
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules import unet
from ocgm.modules.component_vae import ComponentVAE
from ocgm.modules.distributions import sample_gaussian, standard_normal
from ocgm.modules.layers import Conv
from ocgm.modules.stick_breaking import log_masks_from_logits

MASK_PRIORS = ("softmax", "scope")


class MONet(nn.Module):
    """MONet: recurrent attention splits the image into masks, and a VAE encodes the pixels under each.

    Attributes:
      num_slots: K, at least 2.
      image_size: side of the images; 16, 32, 64 or 128.
      attention_features: width of the attention U-Net.
      component_latent_size: size of z_k.
      component_features: width of the component VAE.
      likelihood: "mixture" of Gaussians for each pixel and channel, as in the authors' code, or for each "pixel", as in
        the papers.
      background_sigma: standard deviation of the likelihood's Gaussians of the first slot.
      component_sigma: the same of the other slots.
      mask_prior: how the decoded mask logits become masks, "softmax" over the slots or "scope" (stick-breaking).
      monte_carlo_kl: estimate the latents' KL from the sample; otherwise in closed form, as Burgess et al. do.
      dtype: dtype of the convolutions, float32 or bfloat16; parameters, masks and losses are float32.
    """

    num_slots: int
    image_size: int
    attention_features: int = 32
    component_latent_size: int = 16
    component_features: int = 32
    likelihood: str = "mixture"
    background_sigma: float = 0.7
    component_sigma: float = 0.7
    mask_prior: str = "softmax"
    monte_carlo_kl: bool = True
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        if self.image_size not in unet.SUPPORTED_SIDES:
            raise ConfigError(
                f"monet: image_size={self.image_size} is not supported; use one of"
                f" {unet.SUPPORTED_SIDES}."
            )
        if self.num_slots < 2:
            raise ConfigError(f"monet: num_slots={self.num_slots}; at least 2 are needed.")
        check_choice("monet: mask_prior", self.mask_prior, MASK_PRIORS)
        check_choice("monet: likelihood", self.likelihood, losses.MIXTURES)
        super().__post_init__()

    def setup(self) -> None:
        self.attention = unet.UNet(self.attention_features, norm="instance", dtype=self.dtype)
        self.attention_logit = Conv(1, 1, dtype=self.dtype)
        self.component_vae = ComponentVAE(
            self.image_size,
            self.component_latent_size,
            out_features=4,
            features=self.component_features,
            activation=nn.relu,
            dtype=self.dtype,
        )

    def __call__(
        self, images: jax.Array, *, train: bool, num_slots: int = 0, deterministic: bool = False
    ) -> Outputs:
        """Attend, encode and reconstruct.

        Returns:
          `Outputs`; the attention masks mix the reconstruction, the decoded masks are their prior. KL terms:
          `latents` [B, K] and `masks` [B], the divergence of the attention masks from the decoded ones.
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        num_slots = num_slots or self.num_slots
        log_masks_attention = self.attend(images, num_slots)
        active = jnp.ones(log_masks_attention.shape[:2], bool)

        mean, sigma = self.component_vae.infer(images, log_masks_attention, train)
        latent = Latent(mean, sigma, sample_gaussian(self, mean, sigma, deterministic))
        components, log_masks_decoded = self.decode(latent.sample)

        # The likelihood mixes with the attention masks; the decoded ones are the masks' prior.
        sigmas = (self.background_sigma,) + (self.component_sigma,) * (num_slots - 1)
        error = losses.MIXTURES[self.likelihood](images, components, log_masks_attention, sigmas)
        if self.monte_carlo_kl:
            kl_latents = losses.monte_carlo_kl(latent.sample, mean, sigma)
        else:
            kl_latents = losses.gaussian_kl(mean, sigma)
        kl = {
            "latents": kl_latents,
            "masks": losses.categorical_mask_kl(log_masks_attention, log_masks_decoded, active),
        }
        return Outputs(
            reconstruction=losses.mixture_mean(components, log_masks_attention),
            components=components,
            log_masks=log_masks_attention,
            slots=latent.sample,
            active_slots=active,
            reconstruction_error=error,
            kl=kl,
            latents={"slots": latent},
            log_masks_attention=log_masks_attention,
            log_masks_decoded=log_masks_decoded,
        )

    def attend(self, images: jax.Array, num_slots: int) -> jax.Array:
        """Return attention log-masks [B, K, S, S, 1]; each step's input is the image and the remaining scope.

        The steps are unrolled: XLA:CPU runs gradients of convolutions 10 to 40 times slower inside a rolled scan, and K
        is small.
        """
        log_scope, log_masks = jnp.zeros_like(images[..., :1]), []
        for _ in range(num_slots - 1):
            inputs = jnp.concatenate([images, log_scope], axis=-1)
            logit = self.attention_logit(self.attention(inputs)).astype(jnp.float32)
            log_masks.append(log_scope + nn.log_sigmoid(logit))
            log_scope = log_scope + nn.log_sigmoid(-logit)
        return jnp.stack([*log_masks, log_scope], axis=1)

    def decode(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Decode latents [B, K, D] to component means [B, K, S, S, 3] and log-masks [B, K, S, S, 1]."""
        decoded = self.component_vae.decode(z, train=False)
        components, logits = nn.sigmoid(decoded[..., :3]), decoded[..., 3:]
        if self.mask_prior == "softmax":
            return components, nn.log_softmax(logits, axis=1)
        return components, log_masks_from_logits(logits)

    def features(self, images: jax.Array) -> jax.Array:
        """Return samples z_1, ..., z_K as one vector, [B, K * D], as in the papers' probes."""
        return self(images, train=False).slots.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Raise an error: the masks that mix the components come from attention to an image.

        Raises:
          InputError: always.
        """
        raise InputError(
            "monet: the latents alone do not determine a scene, since its masks come from attention to an image."
        )

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior; uses the `latent` stream."""
        shape = (batch_size, num_slots or self.num_slots, self.component_latent_size)
        components, log_masks = self.decode(standard_normal(self, shape))
        images = losses.mixture_mean(components, log_masks)
        return Sample(images, components, log_masks)
