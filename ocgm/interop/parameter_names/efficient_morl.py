"""EfficientMORL in the authors' code (pemami4911/EfficientMORL)."""

import numpy as np

from ocgm.interop import efficient_morl_blocks as blocks
from ocgm.interop import torch_layers as torch
from ocgm.interop.entries import Entry, same, transposed
from ocgm.models.efficient_morl import EfficientMORL

_BLOCK = "hvae_networks"


def entries(model: EfficientMORL) -> list[Entry]:
    """Return the authors' PyTorch names beside ours, in the order of their files."""
    names = [
        # Of GECO's two scalars the multiplier is needed, as a weight.
        Entry("geco_beta", "error_weight", _softplus, _inverse_softplus, "loss_weights"),
        same(f"{_BLOCK}.init_posterior", "initial_posterior"),
        *blocks.pixel_encoder(f"{_BLOCK}.", "encoder"),
        *torch.norm(f"{_BLOCK}.norm_slots", "slot_norm"),
        *torch.norm(f"{_BLOCK}.norm_mu_pre_ff", "mean_norm"),
        *torch.norm(f"{_BLOCK}.norm_softplus_pre_ff", "scale_norm"),
        *blocks.attention_projections(f"{_BLOCK}."),
    ]
    if model.dual_gru:
        names += _dual_gru(f"{_BLOCK}.gru.cell", "gru")
    else:
        names += torch.recurrent(f"{_BLOCK}.gru", "gru")
        names += torch.dense(f"{_BLOCK}.project_update", "gru_input")
    for name, path in (("mlp_mu", "mean"), ("mlp_softplus", "scale")):
        names += torch.dense(f"{_BLOCK}.{name}.0", f"{path}_hidden")
        names += torch.dense(f"{_BLOCK}.{name}.2", f"{path}_output")
    names += blocks.positioned_decoder(f"{_BLOCK}.image_decoder", "image_decoder", model.decoder)
    for name, path in (("z_linear.0", "hidden"), ("z_mu", "mean"), ("z_softplus", "scale")):
        names += torch.dense(f"{_BLOCK}.indep_prior.{name}", f"conditional_prior/{path}")
    return names + _refiner()


def _refiner() -> list[Entry]:
    entries = torch.recurrent("refinenet.recurrence", "refiner/gru")
    for name, path in (
        ("encoding.0", "hidden"),
        ("encoding.2", "encoding"),
        ("loc", "mean"),
        ("softplus", "scale"),
    ):
        entries += torch.dense(f"refinenet.{name}", f"refiner/{path}")
    return entries


def _dual_gru(torch_name: str, path: str) -> list[Entry]:
    entries = []
    for kinds in (("ih", "hh"), ("in", "hn")):
        for half in (1, 2):
            for kind in kinds:
                name = f"{kind}_{half}"
                entries.append(transposed(f"{torch_name}.weight_{name}", f"{path}/{name}", 1, 0))
        entries += [same(f"{torch_name}.bias_{kind}", f"{path}/bias_{kind}") for kind in kinds]
    return entries


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def _inverse_softplus(x: np.ndarray) -> np.ndarray:
    return np.log(np.expm1(np.maximum(x, 1e-30)))
