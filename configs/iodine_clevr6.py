"""IODINE on CLEVR6, 128x128, K = 7.

ocgm train --config=iodine_clevr6 --workdir=DIR

EfficientMORL paper, table 1, from the IODINE paper: ARI-FG 98.8. The published configuration for one device: batch 4.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("iodine", "clevr_with_masks")
    config.data.update(variant="clevr6", protocol="slot_attention")
    protocols.iodine(config, batch_size=4, learning_rate=3.54e-4)
    return config
