"""Names of blocks in the GENESIS authors' code (applied-ai-lab/genesis), which several of their models share."""

from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry, same
from ocgm.modules.unet import down_up_blocks


def conv_block(torch_name: str, path: str) -> list[Entry]:
    """Pair 3x3 convolutions without bias and their norms."""
    return [
        *torch.conv(f"{torch_name}.0", f"{path}/conv", use_bias=False),
        *torch.norm(f"{torch_name}.1", f"{path}/norm"),
    ]


def unet(torch_name: str, path: str, image_size: int, features: int) -> list[Entry]:
    """Pair U-Nets for images of side `image_size` whose first block has `features` channels."""
    down, up = down_up_blocks(image_size)
    entries = []
    for direction, multiples in (("down", down), ("up", up)):
        for i in range(len(multiples)):
            entries += conv_block(f"{torch_name}.{direction}.{i}", f"{path}/{direction}_{i}")
    first, middle, last = (f"{torch_name}.mlp.{i}" for i in (1, 3, 5))
    return [
        *entries,
        *torch.dense_after_map(first, f"{path}/mlp_0", down[-1] * features, side=4),
        *torch.dense(middle, f"{path}/mlp_1"),
        *torch.dense_before_map(last, f"{path}/mlp_2", down[-1] * features, side=4),
    ]


def gated_layers(
    torch_name: str, path: str, kind: str = "none", transposed: bool = False
) -> list[Entry]:
    """Pair the six gated layers of an encoder or, `transposed`, of a decoder.

    Args:
      torch_name, path: prefixes of the names.
      kind: norm of the layers, one of `ocgm.modules.gated.NORMS`.
      transposed: whether the layers are transposed convolutions.
    """
    # The layer that covers the whole map has no norm: the encoder's last, the decoder's first.
    without_norm = 0 if transposed else 5
    kernel = torch.transposed_conv if transposed else torch.conv
    entries = []
    for i in range(6):
        entries += kernel(f"{torch_name}.{i}.conv", f"{path}/conv_{i}")
        if kind == "none" or i == without_norm:
            continue
        for half in ("h_norm", "g_norm"):
            theirs, ours = f"{torch_name}.{i}.{half}", f"{path}/gate_{i}/{half}"
            entries += torch.norm(theirs, ours)
            if kind == "batch":
                entries.append(same(f"{theirs}.running_mean", f"{ours}/mean", "batch_stats"))
                entries.append(same(f"{theirs}.running_var", f"{ours}/var", "batch_stats"))
    return entries


def mask_vae(torch_name: str, path: str, encoder_norm: str, decoder_norm: str) -> list[Entry]:
    """Pair the VAEs over masks of GENESIS and GENESIS-S."""
    core = f"{torch_name}.core"
    return [
        *gated_layers(f"{core}.q_z_nn", f"{path}/encoder", encoder_norm),
        *torch.dense(f"{core}.q_z_mean", f"{path}/mean"),
        *torch.dense(f"{core}.q_z_var.0", f"{path}/sigma"),
        *gated_layers(f"{core}.p_x_nn", f"{path}/decoder", decoder_norm, transposed=True),
        *torch.conv(f"{core}.p_x_mean", f"{path}/decoder/output"),
        *torch.recurrent(f"{torch_name}.lstm", f"{path}/lstm"),
        *torch.dense(f"{torch_name}.linear", f"{path}/head"),
    ]


def component_vae(
    path: str,
    image_size: int,
    features: int,
    symmetric: bool = False,
    encoder_norm: str = "batch",
    decoder_norm: str = "batch",
) -> list[Entry]:
    """Pair component VAEs; `features` is the width of the asymmetric one, the norms are those of the symmetric one."""
    encoder, decoder = "comp_vae.encoder_module", "comp_vae.decoder_module"
    if symmetric:
        return [
            *gated_layers(f"{encoder}.0", f"{path}/encoder", encoder_norm),
            *gated_layers(f"{decoder}.1", f"{path}/decoder", decoder_norm, transposed=True),
            *torch.conv(f"{decoder}.2", f"{path}/decoder/output"),
        ]
    entries = []
    for i in range(4):
        entries += torch.conv(f"{encoder}.module.{2 * i}", f"{path}/encoder/conv_{i}")
    hidden = (f"{encoder}.module.9", f"{path}/encoder/hidden")
    return [
        *entries,
        *torch.dense_after_map(*hidden, 2 * features, side=image_size // 16),
        *torch.dense(f"{encoder}.module.11", f"{path}/encoder/head"),
        *spatial_broadcast_decoder(decoder, f"{path}/decoder"),
    ]


def spatial_broadcast_decoder(torch_name: str, path: str) -> list[Entry]:
    """Pair spatial broadcast decoders."""
    entries = torch.conv(f"{torch_name}.seq.9", f"{path}/output")
    for i in range(4):
        entries += torch.conv(f"{torch_name}.seq.{2 * i + 1}", f"{path}/conv_{i}")
    return entries


def autoregressive_prior(path: str) -> list[Entry]:
    """Pair priors over the slots, which have the same names in all models that have one."""
    return [
        *torch.recurrent("prior_lstm", f"{path}/lstm"),
        *torch.dense("prior_linear", f"{path}/head"),
    ]
