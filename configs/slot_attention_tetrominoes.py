"""Slot Attention on Tetrominoes, 35x35, K = 4.

python -m ocgm.main --config=configs/slot_attention_tetrominoes.py --workdir=DIR

No official configuration for these images was published; docs/slot_attention.md tells where this one is from.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.slot_attention("tetrominoes")
