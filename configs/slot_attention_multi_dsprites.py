"""Slot Attention on Multi-dSprites, coloured on grey, 64x64, K = 6.

python -m ocgm.main --config=configs/slot_attention_multi_dsprites.py --workdir=DIR

No official configuration for these images was published; docs/slot_attention.md tells where this one is from.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.slot_attention("multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    return config
