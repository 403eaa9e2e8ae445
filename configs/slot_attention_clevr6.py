"""Slot Attention on CLEVR6, 128x128, K = 7.

python -m ocgm.main --config=configs/slot_attention_clevr6.py --workdir=DIR

The published configuration.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.slot_attention("clevr_with_masks")
