"""Names of blocks in EfficientMORL's code (pemami4911/EfficientMORL), which its Slot Attention shares."""

from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry, same


def position(torch_name: str, path: str) -> list[Entry]:
    """Pair projections of the position, whose four channels are in another order."""
    theirs, ours = [1, 2, 0, 3], [2, 0, 1, 3]
    kernel = Entry(
        f"{torch_name}.weight",
        f"{path}/kernel",
        lambda array: array.transpose(1, 0)[theirs],
        lambda array: array[ours].transpose(1, 0),
    )
    return [kernel, same(f"{torch_name}.bias", f"{path}/bias")]


def pixel_encoder(prefix: str, path: str) -> list[Entry]:
    """Pair encoders with four convolutions; theirs have no common prefix of their own."""
    entries = position(f"{prefix}pos_embed_projection", f"{path}/position")
    for i in range(4):
        entries += torch.conv(f"{prefix}encoder_pt_1.{2 * i}", f"{path}/conv_{i}")
    return [
        *entries,
        *torch.norm(f"{prefix}encoder_pt_2.0", f"{path}/norm"),
        *torch.dense(f"{prefix}encoder_pt_2.1", f"{path}/hidden"),
        *torch.dense(f"{prefix}encoder_pt_2.3", f"{path}/output"),
    ]


def attention_projections(prefix: str) -> list[Entry]:
    """Pair the maps to queries, keys and values."""
    return [
        entry
        for name, path in (("to_q", "to_query"), ("to_k", "to_key"), ("to_v", "to_value"))
        for entry in torch.dense(f"{prefix}{name}", path, use_bias=False)
    ]


def positioned_decoder(torch_name: str, path: str, kind: str) -> list[Entry]:
    """Pair decoders; `kind` is one of `ocgm.modules.positioned_decoders.POSITIONED_DECODERS`."""
    if kind == "deconv":
        layer, position_path = torch.transposed_conv, f"{path}/position"
        names = [*(f"deconv_{i}" for i in range(5)), "output"]
    else:
        layer, position_path = torch.conv, f"{path}/conv_0/position"
        names = [f"conv_{i}" for i in range(5 if kind == "iodine" else 4)]
    entries = []
    for i, name in enumerate(names):
        entries += layer(f"{torch_name}.decode.{2 * i}", f"{path}/{name}")
    return [*entries, *position(f"{torch_name}.pos_embed_projection", position_path)]
