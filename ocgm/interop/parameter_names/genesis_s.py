"""GENESIS-S in the authors' code (applied-ai-lab/genesis)."""

from ocgm.interop import genesis_blocks as blocks
from ocgm.interop.entries import Entry
from ocgm.models.genesis_s import GenesisS


def entries(model: GenesisS) -> list[Entry]:
    """Return the authors' PyTorch names beside ours."""
    return [
        *blocks.mask_vae("att_process", "mask_vae", model.encoder_norm, model.decoder_norm),
        *blocks.spatial_broadcast_decoder("decoder", "decoder"),
        *blocks.autoregressive_prior("prior"),
    ]
