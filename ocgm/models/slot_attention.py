"""Slot Attention's object-discovery autoencoder (Locatello et al., NeurIPS 2020).

docs/slot_attention.md describes the published code and the differences of EfficientMORL's re-implementation.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.errors import InputError
from ocgm.models.base import Outputs
from ocgm.models.slot_autoencoder import SlotAutoencoder
from ocgm.modules.distributions import standard_normal, variance_sigma
from ocgm.modules.gru import GRU
from ocgm.modules.initializers import zeros_and_ones
from ocgm.modules.layers import Dense
from ocgm.modules.slot_attention import attend


class SlotAttention(SlotAutoencoder):
    """Slots compete for pixels over a few iterations of attention, and are decoded one by one.

    Has the attributes of `SlotAutoencoder` and the following.

    Attributes:
      iterations: T >= 1.
      hidden_size: size of the hidden layer of the MLP after each update.
      implicit_gradient: back-propagate through the last iteration alone, as if its input were the fixed point of the
        attention (Chang, Griffiths and Levine, NeurIPS 2022); the first slots get its input's gradient. Trains faster.
    """

    iterations: int = 3
    hidden_size: int = 128
    implicit_gradient: bool = False

    def setup(self) -> None:
        super().setup()
        published, size = self.variant == "published", self.latent_size
        dense = functools.partial(Dense, layer_init=self.settings.layer_init)
        norm = functools.partial(nn.LayerNorm, self.settings.epsilon, use_fast_variance=False)
        if published:
            self.input_norm = norm()
            glorot = nn.initializers.glorot_uniform()
            self.slots_mean = self.param("slots_mean", glorot, (1, size))
            self.slots_log_sigma = self.param("slots_log_sigma", glorot, (1, size))
            self.gru = GRU(glorot, nn.initializers.orthogonal(), nn.initializers.zeros)
        else:
            self.initial_slots = self.param("initial_slots", zeros_and_ones, (1, 2 * size))
            self.gru = GRU()
        self.slot_norm, self.mlp_norm = norm(), norm()
        self.to_query = dense(size, use_bias=False)
        self.to_key = dense(size, use_bias=False)
        self.to_value = dense(size, use_bias=False)
        self.mlp_hidden, self.mlp_output = dense(self.hidden_size), dense(size)

    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool,
        iterations: int | None = None,
        num_slots: int = 0,
        deterministic: bool = False,
    ) -> Outputs:
        """Infer slots and reconstruct.

        Args:
          images, train, num_slots: see `ocgm.models.base.Model`.
          deterministic: no effect, since the only random draw makes the slots different.
          iterations: T, instead of the configured one.

        Returns:
          `Outputs`; `log_masks` are the decoder's.

        Raises:
          InputError: less than one iteration.
        """
        iterations = self.iterations if iterations is None else iterations
        if iterations < 1:
            raise InputError(f"iterations={iterations} must be at least 1.")
        features = self.encode(images)
        if self.variant == "published":
            features = self.input_norm(features)
        keys, values = self.to_key(features), self.to_value(features)
        slots = first = self.initialise(len(images), num_slots or self.num_slots)
        for i in range(iterations):
            if self.implicit_gradient and i == iterations - 1:
                slots = first + jax.lax.stop_gradient(slots - first)
            _, updates = attend(self.to_query(self.slot_norm(slots)), keys, values)
            slots = self.gru(updates, slots)
            slots = slots + self.mlp_output(nn.relu(self.mlp_hidden(self.mlp_norm(slots))))
        return self.reconstruct(images, slots, train=train)

    def initialise(self, batch_size: int, num_slots: int) -> jax.Array:
        """Sample the first slots [B, K, D], all from one Gaussian."""
        if self.variant == "published":
            mean, sigma = self.slots_mean, jnp.exp(self.slots_log_sigma)
        else:
            mean, raw = jnp.split(self.initial_slots, 2, axis=-1)
            sigma = variance_sigma(raw)
        noise = standard_normal(self, (batch_size, num_slots, self.latent_size))
        return mean[None] + sigma[None] * noise
