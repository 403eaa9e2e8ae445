"""Slot MLP on CLEVR6, 128x128, K = 7.

python -m ocgm.main --config=configs/slot_mlp_clevr6.py --workdir=DIR

EfficientMORL paper, from the Slot Attention paper: ARI-FG 60.4 +- 6.6. The sizes of the MLP are ours.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.slot_mlp("clevr_with_masks")
