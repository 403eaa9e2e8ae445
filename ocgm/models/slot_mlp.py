"""Slot MLP, the baseline of the Slot Attention paper: an ordered set of slots from one MLP.

Neither its code nor its sizes were published. According to the paper it is Slot Attention's autoencoder with an MLP on
the resized and flattened features in place of the attention; the sizes here are ours.
"""

import functools

import flax.linen as nn
import jax

from ocgm.errors import InputError
from ocgm.models.base import Outputs
from ocgm.models.slot_autoencoder import SlotAutoencoder
from ocgm.modules.layers import Dense

# Side that the feature map is resized to.
_SIDE = 8


class SlotMLP(SlotAutoencoder):
    """Every slot has its own weights, so that their number and order are fixed.

    Has the attributes of `SlotAutoencoder` and the following.

    Attributes:
      hidden_sizes: sizes of the MLP's hidden layers.
    """

    hidden_sizes: tuple[int, ...] = (512, 512)

    def setup(self) -> None:
        super().setup()
        dense = functools.partial(Dense, layer_init=self.settings.layer_init)
        self.hidden = [dense(size) for size in self.hidden_sizes]
        self.output = dense(self.num_slots * self.latent_size)

    def __call__(
        self, images: jax.Array, *, train: bool, num_slots: int = 0, deterministic: bool = False
    ) -> Outputs:
        """Infer slots and reconstruct; nothing is random.

        Raises:
          InputError: `num_slots` is not the configured one.
        """
        if num_slots not in (0, self.num_slots):
            raise InputError(
                f"slot_mlp was built for {self.num_slots} slots; it cannot infer num_slots={num_slots}."
            )
        features = self.encode(images)
        batch, positions, channels = features.shape
        side = round(positions**0.5)
        x = features.reshape(batch, side, side, channels)
        x = jax.image.resize(x, (batch, _SIDE, _SIDE, channels), "linear").reshape(batch, -1)
        for layer in self.hidden:
            x = nn.relu(layer(x))
        slots = self.output(x).reshape(batch, self.num_slots, self.latent_size)
        return self.reconstruct(images, slots, train=train)
