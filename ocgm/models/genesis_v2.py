"""GENESIS-V2 (Engelcke, Parker Jones and Posner, NeurIPS 2021).

Where the paper and the authors' code differ this follows the code; docs/genesis_v2.md lists the differences.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, check_choice
from ocgm.models.base import Latent, Outputs, Sample
from ocgm.modules import ic_sbp
from ocgm.modules.broadcast import coordinates
from ocgm.modules.broadcast_decoders import DeconvBroadcastDecoder
from ocgm.modules.distributions import posterior_parameters, sample_gaussian, standard_normal
from ocgm.modules.layers import Conv, Dense
from ocgm.modules.priors import AutoregressivePrior
from ocgm.modules.slots import over_slots
from ocgm.modules.unet import SUPPORTED_SIDES, ConvBlock, UNet

_EMBEDDING_SIZE = 8


class GenesisV2(nn.Module):
    """GENESIS-V2: instance colouring stick-breaking attention and a slot-wise VAE.

    Attributes:
      num_slots: K, the largest number of slots.
      image_size: side of the images; 16, 32, 64 or 128.
      feature_dim: width of the network; a multiple of 8, at most 64.
      latent_size: size of a slot's latent; 0 means `feature_dim`, as in the paper.
      kernel: IC-SBP kernel, "gaussian", "laplacian" or "epanechnikov".
      initial_kernel_sigma: kernel width at the start of training; 0 means the paper's, which suits embeddings that are
        coordinates.
      semi_convolutional: add pixel coordinates to the embeddings, behind a gate that starts at zero.
      autoregressive_prior: learn p(z_k | z_<k); otherwise N(0, I) for every slot.
      mask_loss: add KL(attention masks || decoded masks) to the KL terms (section 3.4).
      detach_mask_loss_target: stop the gradient from the mask loss to the decoded masks.
      likelihood: "mixture" of Gaussians for each pixel and channel, as in the authors' code, or for each "pixel", as in
        the papers.
      component_sigma: standard deviation of the likelihood's Gaussians.
      dtype: dtype of the convolutions, float32 or bfloat16; parameters, masks and losses are float32.
    """

    num_slots: int
    image_size: int
    feature_dim: int = 64
    latent_size: int = 0
    kernel: str = "gaussian"
    initial_kernel_sigma: float = 0.0
    semi_convolutional: bool = True
    autoregressive_prior: bool = True
    mask_loss: bool = False
    detach_mask_loss_target: bool = True
    likelihood: str = "mixture"
    component_sigma: float = 0.7
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        if self.image_size not in SUPPORTED_SIDES:
            raise ConfigError(
                f"genesis_v2: image_size={self.image_size} is not supported; use one of {SUPPORTED_SIDES}."
            )
        if self.feature_dim % 8 or not 8 <= self.feature_dim <= 64:
            raise ConfigError(
                f"genesis_v2: feature_dim={self.feature_dim} must be a multiple of 8 from 8 to 64."
            )
        check_choice("genesis_v2: kernel", self.kernel, ic_sbp.KERNELS)
        check_choice("genesis_v2: likelihood", self.likelihood, losses.MIXTURES)
        if self.num_slots < 2:
            raise ConfigError(f"genesis_v2: num_slots={self.num_slots}; at least 2 are needed.")
        if self.latent_size < 0 or self.initial_kernel_sigma < 0.0:
            raise ConfigError(
                f"genesis_v2: latent_size={self.latent_size} and initial_kernel_sigma="
                f"{self.initial_kernel_sigma} must not be negative; 0 means the paper's value."
            )
        super().__post_init__()

    def setup(self) -> None:
        width, latent_size = self.feature_dim, self.slot_size
        self.encoder = UNet(width, dtype=self.dtype)
        self.segmentation_head = ConvBlock(width, dtype=self.dtype)
        self.embedding_head = Conv(_EMBEDDING_SIZE, 1)
        if self.semi_convolutional:
            self.embedding_gate = self.param("embedding_gate", nn.initializers.zeros, ())
        kernel_sigma = self.initial_kernel_sigma or ic_sbp.initial_kernel_sigma(
            self.kernel, self.num_slots
        )
        self.log_kernel_sigma = self.param(
            "log_kernel_sigma", lambda key: jnp.log(jnp.float32(kernel_sigma))
        )
        self.feature_block = ConvBlock(width, dtype=self.dtype)
        self.feature_head = Conv(2 * width, 1)
        self.latent_norm = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)
        self.latent_hidden = Dense(2 * width)
        self.latent_head = Dense(2 * latent_size)
        self.decoder = over_slots(DeconvBroadcastDecoder)(
            self.image_size, width, out_features=4, dtype=self.dtype
        )
        if self.autoregressive_prior:
            self.prior = AutoregressivePrior(latent_size, hidden=4 * width)

    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool,
        num_slots: int = 0,
        deterministic: bool = False,
        dynamic_slots: bool = False,
        mask_loss: bool | None = None,
        seed_scores: jax.Array | None = None,
    ) -> Outputs:
        """Infer slots and reconstruct.

        Args:
          images, train, num_slots, deterministic: see `ocgm.models.base.Model`.
          dynamic_slots: stop the IC-SBP early where little of an image is left (section 3.2; test time).
          mask_loss: replaces the attribute for this call (None keeps it); a curriculum can thus add the loss later.
          seed_scores: IC-SBP seed scores in [0, 1), [B, S, S]; drawn from the `seed_scores` stream if None.

        Returns:
          `Outputs`; the attention masks are the IC-SBP's, the decoded masks mix the reconstruction. KL terms:
          `latents` [B, K] and, with the mask loss, `masks` [B].
        """
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        num_slots = num_slots or self.num_slots
        features = self.encoder(images)

        # Attention masks from the IC-SBP.
        if seed_scores is None:
            seed_scores = jax.random.uniform(self.make_rng("seed_scores"), images.shape[:3])
        log_masks_attention, active, _ = ic_sbp.stick_breaking(
            self.embed(features),
            seed_scores,
            jnp.exp(self.log_kernel_sigma),
            kernel=self.kernel,
            num_slots=num_slots,
            dynamic_slots=dynamic_slots,
        )

        # Posterior of each slot from the features that its mask pools.
        mean, sigma = self.infer(features, log_masks_attention)
        z = sample_gaussian(self, mean, sigma, deterministic)

        # Likelihood under the decoded mixture.
        components, log_masks_decoded = self.decode(z, active)
        error = losses.MIXTURES[self.likelihood](
            images, components, log_masks_decoded, self.component_sigma
        )

        # Divergence from the prior.
        prior_mean, prior_sigma = self.prior(z) if self.autoregressive_prior else (0.0, 1.0)
        kl_latents = losses.monte_carlo_kl(z, mean, sigma, prior_mean, prior_sigma)
        kl = {"latents": jnp.where(active, kl_latents, 0.0)}
        if self.mask_loss if mask_loss is None else mask_loss:
            target = log_masks_decoded
            if self.detach_mask_loss_target:
                target = jax.lax.stop_gradient(target)
            kl["masks"] = losses.categorical_mask_kl(log_masks_attention, target, active)

        return Outputs(
            reconstruction=losses.mixture_mean(components, log_masks_decoded),
            components=components,
            log_masks=log_masks_decoded,
            slots=z,
            active_slots=active,
            reconstruction_error=error,
            kl=kl,
            latents={"slots": Latent(mean, sigma, z)},
            log_masks_attention=log_masks_attention,
            log_masks_decoded=log_masks_decoded,
        )

    def embed(self, features: jax.Array) -> jax.Array:
        """Return pixel embeddings [B, S, S, 8]; with semi-convolution the last two hold (y, x) (eq. 6)."""
        embeddings = self.embedding_head(self.segmentation_head(features))
        if not self.semi_convolutional:
            return embeddings
        side = self.image_size
        offsets = jnp.pad(coordinates(side, side), ((0, 0), (0, 0), (_EMBEDDING_SIZE - 2, 0)))
        return self.embedding_gate * embeddings + offsets[None]

    def infer(self, features: jax.Array, log_masks: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return posterior mean and standard deviation, each [B, K, D], from masked average pooling (eq. 7)."""
        features = self.feature_head(self.feature_block(features))
        masks = jnp.exp(log_masks)
        pooled = jnp.einsum("bkhwi,bhwd->bkd", masks, features)
        pooled = pooled / (jnp.sum(masks, axis=(2, 3)) + 1e-5)
        hidden = nn.relu(self.latent_hidden(self.latent_norm(pooled)))
        return posterior_parameters(self.latent_head(hidden))

    def decode(self, z: jax.Array, active: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Decode latents [B, K, D] to component means [B, K, S, S, 3] and log mixing weights [B, K, S, S, 1].

        Slots that are not `active` [B, K] get no weight.
        """
        decoded = self.decoder(z).astype(jnp.float32)
        components, mask_logits = nn.sigmoid(decoded[..., :3]), decoded[..., 3:]
        mask_logits = jnp.where(active[..., None, None, None], mask_logits, ic_sbp.LOG_ZERO)
        return components, nn.log_softmax(mask_logits, axis=1)

    def features(self, images: jax.Array) -> jax.Array:
        """Return samples z_1, ..., z_K as one vector, [B, K * D]; the paper has no probes."""
        return self(images, train=False).slots.reshape(len(images), -1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode latents [B, K, D] to a scene."""
        components, log_masks = self.decode(slots, jnp.ones(slots.shape[:2], bool))
        return Sample(losses.mixture_mean(components, log_masks), components, log_masks)

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior, with any number of slots; uses the `latent` stream."""
        shape = (batch_size, num_slots or self.num_slots, self.slot_size)
        z = standard_normal(self, shape)
        if self.autoregressive_prior:
            z = self.prior.sample(z)
        return self.decode_slots(z)

    @property
    def slot_size(self) -> int:
        """Size D of a slot's latent."""
        return self.latent_size or self.feature_dim
