"""GENESIS in the authors' code (applied-ai-lab/genesis)."""

from ocgm.interop import genesis_blocks as blocks
from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry
from ocgm.models.genesis import Genesis


def entries(model: Genesis) -> list[Entry]:
    """Return the authors' PyTorch names beside ours."""
    norms = (model.encoder_norm, model.decoder_norm)
    size, features = model.image_size, model.component_features
    names = [
        *blocks.mask_vae("att_process", "mask_vae", *norms),
        *blocks.component_vae("component_vae", size, features, model.symmetric, *norms),
        *blocks.autoregressive_prior("mask_prior"),
    ]
    if model.component_prior:
        for i, layer in enumerate(("hidden_0", "hidden_1", "head")):
            names += torch.dense(f"prior_mlp.{2 * i}", f"prior_of_components/{layer}")
    return names
