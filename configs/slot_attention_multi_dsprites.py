"""Slot Attention on Multi-dSprites, coloured on grey, 64x64, K = 6.

ocgm train --config=slot_attention_multi_dsprites --workdir=DIR

Slot Attention paper, table 1: ARI-FG 91.3 +- 0.3.
No official configuration for this dataset was published; the source of this one is in the documentation.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("slot_attention", "multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    config.model.update(encoder_features=(32, 32, 32, 32), decoder="full")
    protocols.slot_attention(config)
    return config
