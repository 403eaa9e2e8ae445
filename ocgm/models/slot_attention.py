"""Slot Attention's object-discovery autoencoder (Locatello et al., NeurIPS 2020).

docs/slot_attention.md tells what the published code does, and what EfficientMORL's re-implementation does otherwise.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.errors import InputError
from ocgm.interop import torch_names
from ocgm.models.base import Outputs
from ocgm.models.slot_autoencoder import SlotAutoencoder
from ocgm.modules.distributions import standard_normal, variance_sigma
from ocgm.modules.gru import GRU
from ocgm.modules.layers import Dense, zeros_and_ones
from ocgm.modules.slot_attention import attend


class SlotAttention(SlotAutoencoder):
    """Slots compete for pixels over a few iterations of attention, and are decoded one by one.

    Attributes beside `SlotAutoencoder`'s:
      iterations: T >= 1.
      hidden_size: of the MLP after each update.
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
          images, train, num_slots: as of every model (`ocgm.models.base.Model`).
          deterministic: without effect: the only draw tells the slots apart.
          iterations: T, instead of the configured one.

        Returns:
          `Outputs`; `log_masks` are the decoder's.

        Raises:
          InputError: no iteration.
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
        """First slots [B, K, D], from one Gaussian for all."""
        if self.variant == "published":
            mean, sigma = self.slots_mean, jnp.exp(self.slots_log_sigma)
        else:
            mean, raw = jnp.split(self.initial_slots, 2, axis=-1)
            sigma = variance_sigma(raw)
        return mean + sigma * standard_normal(self, (batch_size, num_slots, self.latent_size))

    def torch_entries(self) -> list[torch_names.Entry]:
        """Names of the authors' parameters beside ours: EfficientMORL's, or those of the published Keras model."""
        n = torch_names
        if self.variant == "published":
            return self._keras_entries() if self.decoder == "deconv" else []
        entries = [
            n.same("init_slots", "initial_slots"),
            *n.pixel_encoder("", "encoder"),
            *n.norm("norm_slots", "slot_norm"),
            *n.norm("norm_pre_ff", "mlp_norm"),
        ]
        for name, path in (("to_q", "to_query"), ("to_k", "to_key"), ("to_v", "to_value")):
            entries += n.dense(name, path, use_bias=False)
        return [
            *entries,
            *n.dense("mlp.0", "mlp_hidden"),
            *n.dense("mlp.2", "mlp_output"),
            *n.recurrent("gru", "gru"),
            *n.positioned_decoder("image_decoder", "image_decoder", self.decoder),
        ]

    def _keras_entries(self) -> list[torch_names.Entry]:
        """Of the published model, under the names that `tf_checkpoint.slot_attention_names` gives."""
        n, module = torch_names, "slot_attention"
        layers = {
            **{f"encoder_cnn/{i}": f"encoder/conv_{i}" for i in range(len(self.encoder_features))},
            "encoder_pos": "encoder/position",
            "mlp/0": "encoder/hidden",
            "mlp/1": "encoder/output",
            f"{module}/mlp/0": "mlp_hidden",
            f"{module}/mlp/1": "mlp_output",
            "decoder_pos": "image_decoder/position",
        }
        norms = {
            "layer_norm": "encoder/norm",
            f"{module}/norm_inputs": "input_norm",
            f"{module}/norm_slots": "slot_norm",
            f"{module}/norm_mlp": "mlp_norm",
        }
        entries = n.keras_gru(f"{module}/gru", "gru")
        for name, path in layers.items():
            entries += n.keras_layer(name, path)
        for name, path in norms.items():
            entries += n.keras_norm(name, path)
        for name, path in (("q", "to_query"), ("k", "to_key"), ("v", "to_value")):
            entries += n.keras_layer(f"{module}/project_{name}", path, use_bias=False)
        for name, path in (("slots_mu", "slots_mean"), ("slots_log_sigma", "slots_log_sigma")):
            entries.append(n.without_first_axis(f"{module}/{name}", path))
        grid = self.decoder_grid or self.image_size // 16
        hidden = (self.image_size // self.decoder_output_stride // grid).bit_length()
        for i, path in enumerate([*(f"deconv_{i}" for i in range(hidden)), "output"]):
            entries += n.keras_transposed_conv(f"decoder_cnn/{i}", f"image_decoder/{path}")
        return entries
