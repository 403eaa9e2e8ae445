"""Slot MLP on Tetrominoes, 35x35, K = 4.

ocgm train --config=slot_mlp_tetrominoes --workdir=DIR

Slot Attention paper, table 1: ARI-FG 25.1 +- 34.3. The sizes of the MLP are not published; these are our own.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("slot_mlp", "tetrominoes")
    config.model.update(encoder_features=(32, 32, 32, 32), decoder="full")
    protocols.slot_attention(config)
    return config
