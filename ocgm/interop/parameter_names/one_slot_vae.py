"""SBD-VAE and DC-VAE of the bottlenecks paper in the authors' code (applied-ai-lab/genesis)."""

from ocgm.interop import genesis_blocks as blocks
from ocgm.interop.entries import Entry
from ocgm.models.one_slot_vae import OneSlotVAE


def entries(model: OneSlotVAE) -> list[Entry]:
    """Return the authors' PyTorch names beside ours."""
    return blocks.component_vae("vae", model.image_size, model.width, model.decoder == "deconv")
