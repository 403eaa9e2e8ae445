"""Slot MLP on CLEVR6, 128x128, K = 7.

ocgm train --config=slot_mlp_clevr6 --workdir=DIR

Slot Attention paper, table 1: ARI-FG 60.4 +- 6.6. The sizes of the MLP are not published; these are our own.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("slot_mlp", "clevr_with_masks")
    config.data.update(variant="clevr6", protocol="slot_attention")
    protocols.slot_attention(config)
    return config
