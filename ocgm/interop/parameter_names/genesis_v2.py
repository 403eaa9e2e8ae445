"""GENESIS-V2 in the authors' code (applied-ai-lab/genesis)."""

from ocgm.interop import genesis_blocks as blocks
from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry, same
from ocgm.models.genesis_v2 import GenesisV2


def entries(model: GenesisV2) -> list[Entry]:
    """Return the authors' PyTorch names beside ours."""
    embedding_head = "att_process.colour_head"
    if model.semi_convolutional:
        embedding_head = f"{embedding_head}.conv"
    names = [
        *blocks.unet("encoder", "encoder", model.image_size, model.feature_dim),
        same("att_process.log_sigma", "log_kernel_sigma"),
        *torch.conv(embedding_head, "embedding_head"),
        *blocks.conv_block("seg_head", "segmentation_head"),
        *blocks.conv_block("feat_head.0", "feature_block"),
        *torch.conv("feat_head.1", "feature_head"),
        *torch.norm("z_head.0", "latent_norm"),
        *torch.dense("z_head.1", "latent_hidden"),
        *torch.dense("z_head.3", "latent_head"),
        *torch.conv("decoder_module.13", "decoder/output"),
    ]
    if model.semi_convolutional:
        names.append(same("att_process.colour_head.gate.gate", "embedding_gate"))
    for i in range(4):
        names += torch.transposed_conv(f"decoder_module.{3 * i + 1}", f"decoder/deconv_{i}")
        names += torch.norm(f"decoder_module.{3 * i + 2}", f"decoder/norm_{i}")
    if model.autoregressive_prior:
        names += blocks.autoregressive_prior("prior")
    return names
