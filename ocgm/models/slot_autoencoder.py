"""The autoencoder around Slot Attention's and Slot MLP's slots: same encoder, decoder and loss."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from ocgm import losses
from ocgm.errors import ConfigError, InputError, check_choice
from ocgm.models.base import Outputs, Sample
from ocgm.modules.initializers import LayerInit, glorot_init, pytorch_init, small_normal_init
from ocgm.modules.positioned_decoders import POSITIONED_DECODERS, positioned_decoder
from ocgm.modules.slot_attention import PixelEncoder
from ocgm.modules.slots import fold_slots


class Variant(NamedTuple):
    """Differences between the published code and EfficientMORL's re-implementation.

    Attributes:
      epsilon: epsilon of the layer norms.
      layer_init: initialisation of all layers but the decoder's convolutions.
      decoder_init: initialisation of the decoder's convolutions.
      same_padding: whether transposed convolutions pad as TensorFlow does.
      activation: map from decoded colours, in [-1, 1] (published) or unbounded, to [0, 1].
      colour_range: width of the interval that colours are in where the error is computed.
      mean_error: whether the loss is a mean over pixels and channels, or a sum.
    """

    epsilon: float
    layer_init: LayerInit
    decoder_init: LayerInit
    same_padding: bool
    activation: Callable[[jax.Array], jax.Array]
    colour_range: float
    mean_error: bool


VARIANTS = {
    "published": Variant(
        1e-3, glorot_init, glorot_init, True, lambda rgb: (rgb + 1.0) / 2.0, 2.0, True
    ),
    "efficient_morl": Variant(1e-5, pytorch_init, small_normal_init, False, nn.sigmoid, 1.0, False),
}


class SlotAutoencoder(nn.Module):
    """Base of the two models; a subclass has `encode_slots`.

    There is neither a likelihood nor a prior: the reconstruction error is the sum of squared errors in the colour space
    of the variant, and `sample` raises an error.

    Attributes:
      num_slots: K.
      image_size: side of the images.
      latent_size: D.
      variant: "published" (object discovery of Slot Attention), or "efficient_morl" (that of EfficientMORL's authors).
      encoder_features: channels of each 5x5 convolution of the encoder.
      encoder_strides: stride of each of them.
      feature_size: size of the features that slots attend to; 0 means the last convolution's.
      decoder: "deconv" (from a small grid), "small", "full" or "iodine" (at full resolution).
      decoder_features: channels of the decoder; 0 means the decoder's default.
      decoder_grid: side of the "deconv" decoder's grid; 0 means image_size / 16.
      decoder_output_stride: 2 for a "deconv" decoder without hidden layers at full resolution.
      colour_offset: added to the decoded colours; -1 starts from black instead of grey in the published variant.
      dtype: dtype of the convolutions, float32 or bfloat16; all else is float32.
    """

    num_slots: int
    image_size: int
    latent_size: int = 64
    variant: str = "published"
    encoder_features: tuple[int, ...] = (64, 64, 64, 64)
    encoder_strides: tuple[int, ...] = (1, 1, 1, 1)
    feature_size: int = 0
    decoder: str = "deconv"
    decoder_features: int = 0
    decoder_grid: int = 0
    decoder_output_stride: int = 1
    colour_offset: float = 0.0
    dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field, choices in (("variant", tuple(VARIANTS)), ("decoder", POSITIONED_DECODERS)):
            check_choice(f"{name}: {field}", getattr(self, field), choices)
        if self.num_slots < 2:
            raise ConfigError(f"{name}: num_slots={self.num_slots}; at least 2 are needed.")
        if len(self.encoder_features) != len(self.encoder_strides):
            raise ConfigError(
                f"{name}: encoder_features={self.encoder_features} and encoder_strides"
                f"={self.encoder_strides} must be of one length."
            )
        super().__post_init__()

    @property
    def settings(self) -> Variant:
        """Settings of the variant."""
        return VARIANTS[self.variant]

    def setup(self) -> None:
        settings = self.settings
        self.encoder = PixelEncoder(
            self.encoder_features,
            self.encoder_strides,
            self.feature_size,
            settings.epsilon,
            layer_init=settings.layer_init,
            position_init=settings.layer_init,
            dtype=self.dtype,
        )
        self.image_decoder = positioned_decoder(
            self.decoder,
            self.image_size,
            features=self.decoder_features,
            grid_side=self.decoder_grid,
            layer_init=settings.decoder_init,
            dtype=self.dtype,
            output_stride=self.decoder_output_stride,
            same_padding=settings.same_padding,
        )

    def reconstruct(self, images: jax.Array, slots: jax.Array, *, train: bool) -> Outputs:
        """Return the outputs for images [B, S, S, 3] and their slots [B, K, D]."""
        components, log_masks = self.decode(slots)
        reconstruction = losses.mixture_mean(components, log_masks)
        settings = self.settings
        difference = settings.colour_range * (reconstruction - images)
        error = jnp.sum(jnp.square(difference), axis=(1, 2, 3))
        loss = jnp.mean(error)
        if settings.mean_error:
            loss = loss / images[0].size
        return Outputs(
            reconstruction=jnp.clip(reconstruction, 0.0, 1.0),
            components=jnp.clip(components, 0.0, 1.0),
            log_masks=log_masks,
            slots=slots,
            active_slots=jnp.ones(slots.shape[:2], bool),
            reconstruction_error=error,
            kl={},
            latents={},
            loss=loss if train else None,
        )

    def encode(self, images: jax.Array) -> jax.Array:
        """Encode images [B, S, S, 3] to features [B, N, C]."""
        chex.assert_shape(images, (None, self.image_size, self.image_size, 3))
        return self.encoder(2.0 * images - 1.0)

    def decode(self, slots: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Decode slots [B, K, D] to components [B, K, S, S, 3], unclipped, and log-masks [B, K, S, S, 1]."""
        decoded = fold_slots(self.image_decoder, slots)
        components = self.settings.activation(decoded[..., :3] + self.colour_offset)
        return components, nn.log_softmax(decoded[..., 3:], axis=1)

    def decode_slots(self, slots: jax.Array) -> Sample:
        """Decode slots [B, K, D] to a scene."""
        components, log_masks = self.decode(slots)
        image = jnp.clip(losses.mixture_mean(components, log_masks), 0.0, 1.0)
        return Sample(image, jnp.clip(components, 0.0, 1.0), log_masks)

    def features(self, images: jax.Array) -> jax.Array:
        """Return all slots as one vector, [B, K * D]."""
        return self(images, train=False).slots.reshape(len(images), -1)

    def sample(self, batch_size: int, num_slots: int = 0) -> Sample:
        """Raise an error: there is no prior to sample from.

        Raises:
          InputError: always.
        """
        raise InputError(
            f"{type(self).__name__} is an autoencoder: it has no prior to draw scenes from."
        )
