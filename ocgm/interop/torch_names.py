"""How the authors' PyTorch (or Keras) parameters map to ours, block by block.

A model lists its entries in `torch_entries`; `ocgm.commands.convert` and the parity tests read them.
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from ocgm.modules.unet import down_up_blocks

Transform = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One parameter in both worlds.

    Attributes:
      torch_name: name in the PyTorch state dict, or of Keras' variable (`ocgm.interop.tf_checkpoint`).
      path: path in our tree of variables, joined by "/".
      transform: PyTorch array -> our array.
      inverse: our array -> PyTorch array.
      collection: of our variables.
    """

    torch_name: str
    path: str
    transform: Transform
    inverse: Transform
    collection: str = "params"

    def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the PyTorch parameter whose counterpart here has this shape."""
        return self.inverse(np.broadcast_to(np.float32(0), shape)).shape


# Entries of the authors' files that no model needs: constants (standard deviations, pixel coordinates of an older
# layout), a counter of batches and a moving average.
IGNORED = re.compile(r"(^|\.)(std|num_batches_tracked|pixel_coords\.g_[12]|geco_C_ema)$")
_ROOT_IN_OLD_LAYOUT, _ROOT = "object_discovery_block.", "hvae_networks."


def of_current_layout(state_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A state dict with the names of today where it has the older layout of EfficientMORL's; others as they are."""
    if not any(name.startswith(_ROOT_IN_OLD_LAYOUT) for name in state_dict):
        return state_dict
    renamed = {}
    for name, array in state_dict.items():
        if "generation_relation" in name or name.endswith((".cell.zeros", ".cell.zeros_n")):
            continue
        if name.startswith(("pos_embed_projection.", "encoder_pt_")):
            name = _ROOT + name
        renamed[name.replace(_ROOT_IN_OLD_LAYOUT, _ROOT, 1)] = array
    return renamed


def same(torch_name: str, path: str, collection: str = "params") -> Entry:
    """A variable with one layout in both worlds."""
    return Entry(torch_name, path, lambda array: array, lambda array: array, collection)


def transposed(torch_name: str, path: str, *axes: int) -> Entry:
    """A parameter whose axes are permuted: ours = PyTorch's.transpose(axes)."""
    inverse = tuple(np.argsort(axes))
    return Entry(torch_name, path, lambda a: a.transpose(axes), lambda a: a.transpose(inverse))


def without_first_axis(torch_name: str, path: str) -> Entry:
    """A parameter that the authors keep with one more axis of size 1 in front."""
    return Entry(torch_name, path, lambda array: array[0], lambda array: array[None])


def conv(torch_name: str, path: str, use_bias: bool = True) -> list[Entry]:
    kernel = transposed(f"{torch_name}.weight", f"{path}/kernel", 2, 3, 1, 0)
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")] if use_bias else [kernel]


def transposed_conv(torch_name: str, path: str) -> list[Entry]:
    return [
        transposed(f"{torch_name}.weight", f"{path}/kernel", 2, 3, 0, 1),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def dense(torch_name: str, path: str, use_bias: bool = True) -> list[Entry]:
    kernel = transposed(f"{torch_name}.weight", f"{path}/kernel", 1, 0)
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")] if use_bias else [kernel]


def norm(torch_name: str, path: str) -> list[Entry]:
    return [
        same(f"{torch_name}.weight", f"{path}/scale"),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def conv_block(torch_name: str, path: str) -> list[Entry]:
    """3x3 convolution without bias and its norm."""
    return [
        *conv(f"{torch_name}.0", f"{path}/conv", use_bias=False),
        *norm(f"{torch_name}.1", f"{path}/norm"),
    ]


def recurrent(torch_name: str, path: str) -> list[Entry]:
    """Single-layer LSTM or GRU; both worlds keep the gates in one order."""
    return [
        transposed(f"{torch_name}.weight_ih_l0", f"{path}/kernel_ih", 1, 0),
        transposed(f"{torch_name}.weight_hh_l0", f"{path}/kernel_hh", 1, 0),
        same(f"{torch_name}.bias_ih_l0", f"{path}/bias_ih"),
        same(f"{torch_name}.bias_hh_l0", f"{path}/bias_hh"),
    ]


def dual_gru(torch_name: str, path: str) -> list[Entry]:
    """`DualGRU`, in the order of the authors' files."""
    entries = []
    for kinds, biases in ((("ih", "hh"), ("ih", "hh")), (("in", "hn"), ("in", "hn"))):
        for half in (1, 2):
            for kind in kinds:
                name = f"{kind}_{half}"
                entries.append(transposed(f"{torch_name}.weight_{name}", f"{path}/{name}", 1, 0))
        entries += [same(f"{torch_name}.bias_{kind}", f"{path}/bias_{kind}") for kind in biases]
    return entries


def position(torch_name: str, path: str) -> list[Entry]:
    """Projection of the position, whose four channels EfficientMORL's authors have in another order."""
    theirs, ours = [1, 2, 0, 3], [2, 0, 1, 3]
    kernel = Entry(
        f"{torch_name}.weight",
        f"{path}/kernel",
        lambda array: array.transpose(1, 0)[theirs],
        lambda array: array[ours].transpose(1, 0),
    )
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")]


def pixel_encoder(prefix: str, path: str) -> list[Entry]:
    """`PixelEncoder` with four convolutions; their names have no root of their own."""
    entries = position(f"{prefix}pos_embed_projection", f"{path}/position")
    for i in range(4):
        entries += conv(f"{prefix}encoder_pt_1.{2 * i}", f"{path}/conv_{i}")
    return [
        *entries,
        *norm(f"{prefix}encoder_pt_2.0", f"{path}/norm"),
        *dense(f"{prefix}encoder_pt_2.1", f"{path}/hidden"),
        *dense(f"{prefix}encoder_pt_2.3", f"{path}/output"),
    ]


def positioned_decoder(torch_name: str, path: str, kind: str) -> list[Entry]:
    """A decoder of `decoders.POSITIONED_DECODERS` as EfficientMORL's authors have it."""
    if kind == "deconv":
        layer, where = transposed_conv, f"{path}/position"
        names = [*(f"deconv_{i}" for i in range(5)), "output"]
    else:
        layer, where = conv, f"{path}/conv_0/position"
        names = [f"conv_{i}" for i in range(5 if kind == "iodine" else 4)]
    entries = []
    for i, name in enumerate(names):
        entries += layer(f"{torch_name}.decode.{2 * i}", f"{path}/{name}")
    return [*entries, *position(f"{torch_name}.pos_embed_projection", where)]


def gated_layers(
    torch_name: str, path: str, kind: str = "none", transposed: bool = False
) -> list[Entry]:
    """The six gated layers of an encoder, or, `transposed`, of a decoder; `kind` of norm as `gated.NORMS`."""
    # The layer without a norm is the one that covers the whole map: the encoder's last, the decoder's first.
    without_norm = 0 if transposed else 5
    entries = []
    for i in range(6):
        kernel = transposed_conv if transposed else conv
        entries += kernel(f"{torch_name}.{i}.conv", f"{path}/conv_{i}")
        if kind == "none" or i == without_norm:
            continue
        for half in ("h_norm", "g_norm"):
            theirs, ours = f"{torch_name}.{i}.{half}", f"{path}/gate_{i}/{half}"
            entries += norm(theirs, ours)
            if kind == "batch":
                entries.append(same(f"{theirs}.running_mean", f"{ours}/mean", "batch_stats"))
                entries.append(same(f"{theirs}.running_var", f"{ours}/var", "batch_stats"))
    return entries


def mask_vae(torch_name: str, path: str, encoder_norm: str, decoder_norm: str) -> list[Entry]:
    """GENESIS's mask VAE."""
    core = f"{torch_name}.core"
    return [
        *gated_layers(f"{core}.q_z_nn", f"{path}/encoder", encoder_norm),
        *dense(f"{core}.q_z_mean", f"{path}/mean"),
        *dense(f"{core}.q_z_var.0", f"{path}/sigma"),
        *gated_layers(f"{core}.p_x_nn", f"{path}/decoder", decoder_norm, transposed=True),
        *conv(f"{core}.p_x_mean", f"{path}/decoder/output"),
        *recurrent(f"{torch_name}.lstm", f"{path}/lstm"),
        *dense(f"{torch_name}.linear", f"{path}/head"),
    ]


def component_vae(
    torch_name: str,
    path: str,
    image_size: int,
    features: int,
    symmetric: bool = False,
    encoder_norm: str = "batch",
    decoder_norm: str = "batch",
) -> list[Entry]:
    """`ComponentVAE`; `features` is the width of the asymmetric one."""
    encoder, decoder = f"{torch_name}.encoder_module", f"{torch_name}.decoder_module"
    if symmetric:
        return [
            *gated_layers(f"{encoder}.0", f"{path}/encoder", encoder_norm),
            *gated_layers(f"{decoder}.1", f"{path}/decoder", decoder_norm, transposed=True),
            *conv(f"{decoder}.2", f"{path}/decoder/output"),
        ]
    entries = []
    for i in range(4):
        entries += conv(f"{encoder}.module.{2 * i}", f"{path}/encoder/conv_{i}")
    return [
        *entries,
        *dense_after_map(
            f"{encoder}.module.9", f"{path}/encoder/hidden", 2 * features, image_size // 16
        ),
        *dense(f"{encoder}.module.11", f"{path}/encoder/head"),
        *spatial_broadcast_decoder(decoder, f"{path}/decoder"),
    ]


def spatial_broadcast_decoder(torch_name: str, path: str) -> list[Entry]:
    entries = conv(f"{torch_name}.seq.9", f"{path}/output")
    for i in range(4):
        entries += conv(f"{torch_name}.seq.{2 * i + 1}", f"{path}/conv_{i}")
    return entries


def autoregressive_prior(path: str) -> list[Entry]:
    """The prior over the slots, which has the same names in all models that have it."""
    return [*recurrent("prior_lstm", f"{path}/lstm"), *dense("prior_linear", f"{path}/head")]


def unet(torch_name: str, path: str, image_size: int, features: int) -> list[Entry]:
    down, up = down_up_blocks(image_size)
    entries = []
    for direction, multiples in (("down", down), ("up", up)):
        for i in range(len(multiples)):
            entries += conv_block(f"{torch_name}.{direction}.{i}", f"{path}/{direction}_{i}")
    to_last, to_first = _channels_last(down[-1] * features, side=4)
    first, middle, last = (f"{torch_name}.mlp.{i}" for i in (1, 3, 5))
    return [
        *entries,
        *dense_after_map(first, f"{path}/mlp_0", down[-1] * features, side=4),
        *dense(middle, f"{path}/mlp_1"),
        Entry(
            f"{last}.weight",
            f"{path}/mlp_2/kernel",
            lambda array: to_last(array).transpose(1, 0),
            lambda array: to_first(array.transpose(1, 0)),
        ),
        Entry(f"{last}.bias", f"{path}/mlp_2/bias", to_last, to_first),
    ]


def dense_after_map(torch_name: str, path: str, channels: int, side: int) -> list[Entry]:
    """Affine map of a flattened map, which PyTorch flattens channels first."""
    to_last, to_first = _channels_last(channels, side)
    return [
        Entry(
            f"{torch_name}.weight",
            f"{path}/kernel",
            lambda array: to_last(array.transpose(1, 0)),
            lambda array: to_first(array).transpose(1, 0),
        ),
        same(f"{torch_name}.bias", f"{path}/bias"),
    ]


def keras_layer(name: str, path: str, use_bias: bool = True) -> list[Entry]:
    """A Keras layer whose kernel has our layout: convolution or affine map."""
    kernel = same(f"{name}/kernel", f"{path}/kernel")
    return [kernel, same(f"{name}/bias", f"{path}/bias")] if use_bias else [kernel]


def keras_transposed_conv(name: str, path: str) -> list[Entry]:
    """Keras' kernels are [height, width, out, in]; like ours, they are applied flipped."""
    return [
        transposed(f"{name}/kernel", f"{path}/kernel", 0, 1, 3, 2),
        same(f"{name}/bias", f"{path}/bias"),
    ]


def keras_norm(name: str, path: str) -> list[Entry]:
    return [same(f"{name}/gamma", f"{path}/scale"), same(f"{name}/beta", f"{path}/bias")]


def keras_gru(name: str, path: str) -> list[Entry]:
    """Keras' GRU with `reset_after`, whose gates are in the order z, r, h."""
    names = {
        "kernel": "kernel_ih",
        "recurrent_kernel": "kernel_hh",
        "bias_input": "bias_ih",
        "bias_recurrent": "bias_hh",
    }
    return [
        Entry(f"{name}/{theirs}", f"{path}/{ours}", _swap_gates, _swap_gates)
        for theirs, ours in names.items()
    ]


def _swap_gates(array: np.ndarray) -> np.ndarray:
    """Columns z, r, h to r, z, h, and back."""
    first, second, candidate = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, candidate], axis=-1)


def _channels_last(channels: int, side: int) -> tuple[Transform, Transform]:
    """Reorders the first axis of a flattened map from (C, H, W), PyTorch's order, to (H, W, C), and back."""

    def to_last(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(channels, side, side, *array.shape[1:])
        return np.moveaxis(maps, 0, 2).reshape(array.shape)

    def to_first(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(side, side, channels, *array.shape[1:])
        return np.moveaxis(maps, 2, 0).reshape(array.shape)

    return to_last, to_first
