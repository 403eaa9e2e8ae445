"""Slot Attention on Tetrominoes, 35x35, K = 4.

ocgm train --config=slot_attention_tetrominoes --workdir=DIR

Slot Attention paper, table 1: ARI-FG 99.5 +- 0.2.
No official configuration for this dataset was published; the source of this one is in the documentation.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("slot_attention", "tetrominoes")
    config.model.update(encoder_features=(32, 32, 32, 32), decoder="full")
    protocols.slot_attention(config)
    return config
