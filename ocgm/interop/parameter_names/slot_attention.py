"""Slot Attention in the published Keras code (google-research), and in EfficientMORL's re-implementation."""

import re

import numpy as np

from ocgm.errors import CheckpointError
from ocgm.interop import efficient_morl_blocks as blocks
from ocgm.interop import keras_layers as keras
from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry, same, without_first_axis
from ocgm.models.slot_attention import SlotAttention

_ATTENTION = "slot_attention"
# Attributes of the published model; those that hold them are not significant.
_POSITIONS = ("encoder_pos", "decoder_pos")
_PARTS = (*_POSITIONS, "encoder_cnn", "layer_norm", "mlp", _ATTENTION, "decoder_cnn")
_LAYER = re.compile(r"^layer(?:_with_weights)?-(\d+)$")
_GRU_BIAS = f"{_ATTENTION}/gru/bias"


def entries(model: SlotAttention) -> list[Entry]:
    """Return the authors' names beside ours: Keras', or PyTorch's of the variant "efficient_morl".

    The published variant with another decoder than "deconv" has none.
    """
    if model.variant == "published":
        return _keras_entries(model) if model.decoder == "deconv" else []
    return [
        same("init_slots", "initial_slots"),
        *blocks.pixel_encoder("", "encoder"),
        *torch.norm("norm_slots", "slot_norm"),
        *torch.norm("norm_pre_ff", "mlp_norm"),
        *blocks.attention_projections(""),
        *torch.dense("mlp.0", "mlp_hidden"),
        *torch.dense("mlp.2", "mlp_output"),
        *torch.recurrent("gru", "gru"),
        *blocks.positioned_decoder("image_decoder", "image_decoder", model.decoder),
    ]


def _keras_entries(model: SlotAttention) -> list[Entry]:
    """Return the published model's names as `keras_names` gives them, beside ours."""
    layers = {
        **{f"encoder_cnn/{i}": f"encoder/conv_{i}" for i in range(len(model.encoder_features))},
        "encoder_pos": "encoder/position",
        "mlp/0": "encoder/hidden",
        "mlp/1": "encoder/output",
        f"{_ATTENTION}/mlp/0": "mlp_hidden",
        f"{_ATTENTION}/mlp/1": "mlp_output",
        "decoder_pos": "image_decoder/position",
    }
    norms = {
        "layer_norm": "encoder/norm",
        f"{_ATTENTION}/norm_inputs": "input_norm",
        f"{_ATTENTION}/norm_slots": "slot_norm",
        f"{_ATTENTION}/norm_mlp": "mlp_norm",
    }
    names = keras.gru(f"{_ATTENTION}/gru", "gru")
    for name, path in layers.items():
        names += keras.layer(name, path)
    for name, path in norms.items():
        names += keras.norm(name, path)
    for name, path in (("q", "to_query"), ("k", "to_key"), ("v", "to_value")):
        names += keras.layer(f"{_ATTENTION}/project_{name}", path, use_bias=False)
    for name, path in (("slots_mu", "slots_mean"), ("slots_log_sigma", "slots_log_sigma")):
        names.append(without_first_axis(f"{_ATTENTION}/{name}", path))
    grid = model.decoder_grid or model.image_size // 16
    hidden = (model.image_size // model.decoder_output_stride // grid).bit_length()
    for i, path in enumerate([*(f"deconv_{i}" for i in range(hidden)), "output"]):
        names += keras.transposed_conv(f"decoder_cnn/{i}", f"image_decoder/{path}")
    return names


def keras_names(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the variables of a TensorFlow checkpoint to the names of `entries`.

    "network/layer_with_weights-0/mlp/layer_with_weights-1/kernel" becomes "mlp/1/kernel": the attributes that hold the
    network are dropped, and so is the attribute between a position's projection and its variables. The two rows of the
    GRU's bias become "bias_input" and "bias_recurrent". Names without a part of Slot Attention are kept.

    Raises:
      CheckpointError: two variables get one name.
    """
    renamed = {}
    for name, tensor in tensors.items():
        path = ["mlp" if part == "feedforward" else part for part in name.split("/")]
        while path and path[0] not in _PARTS:
            del path[0]
        if path and path[0] in _POSITIONS:
            path = [path[0], path[-1]]
        short = "/".join(_LAYER.sub(r"\1", part) for part in path) or name
        if short in renamed:
            raise CheckpointError(f"The checkpoint has two variables {short!r}, one is {name!r}.")
        renamed[short] = tensor
    if _GRU_BIAS in renamed and renamed[_GRU_BIAS].shape[:-1] == (2,):
        rows = renamed.pop(_GRU_BIAS)
        renamed |= {f"{_GRU_BIAS}_input": rows[0], f"{_GRU_BIAS}_recurrent": rows[1]}
    return renamed
