"""The GENESIS paper's BD-VAE and DC-VAE in the authors' code (applied-ai-lab/genesis)."""

from ocgm.interop import genesis_blocks as blocks
from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry
from ocgm.models.image_vae import ImageVAE


def entries(model: ImageVAE) -> list[Entry]:
    """Return the authors' PyTorch names beside ours."""
    names = [
        *blocks.gated_layers("vae.q_z_nn", "encoder"),
        *torch.dense("vae.q_z_mean", "mean"),
        *torch.dense("vae.q_z_var.0", "sigma"),
    ]
    if model.decoder == "deconv":
        names += blocks.gated_layers("vae.p_x_nn", "deconv_decoder", transposed=True)
        return names + torch.conv("vae.p_x_mean", "deconv_decoder/output")
    names += blocks.spatial_broadcast_decoder("vae.p_x_nn.1", "broadcast_decoder")
    return names + torch.conv("vae.p_x_mean", "output")
