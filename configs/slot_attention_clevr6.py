"""Slot Attention on CLEVR6, 128x128, K = 7.

ocgm train --config=slot_attention_clevr6 --workdir=DIR

Slot Attention paper, table 1: ARI-FG 98.8 +- 0.3. This is the published configuration.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("slot_attention", "clevr_with_masks")
    config.data.update(variant="clevr6", protocol="slot_attention")
    protocols.slot_attention(config)
    return config
