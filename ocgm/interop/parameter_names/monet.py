"""MONet in the GENESIS authors' code (applied-ai-lab/genesis)."""

from ocgm.interop import genesis_blocks as blocks
from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry
from ocgm.models.monet import MONet


def entries(model: MONet) -> list[Entry]:
    """Return the authors' PyTorch names beside ours."""
    return [
        *blocks.unet("att_process.core", "attention", model.image_size, model.attention_features),
        *torch.conv("att_process.core.final_conv", "attention_logit"),
        *blocks.component_vae("component_vae", model.image_size, model.component_features),
    ]
