"""Slot MLP on Multi-dSprites, coloured on grey, 64x64, K = 6.

ocgm train --config=slot_mlp_multi_dsprites --workdir=DIR

Slot Attention paper, table 1: ARI-FG 60.3 +- 1.8. The sizes of the MLP are not published; these are our own.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("slot_mlp", "multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    config.model.update(encoder_features=(32, 32, 32, 32), decoder="full")
    protocols.slot_attention(config)
    return config
