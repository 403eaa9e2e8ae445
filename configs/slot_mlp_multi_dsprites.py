"""Slot MLP on Multi-dSprites, coloured on grey, 64x64, K = 6.

python -m ocgm.main --config=configs/slot_mlp_multi_dsprites.py --workdir=DIR

EfficientMORL paper, from the Slot Attention paper: ARI-FG 60.3 +- 1.8. The sizes of the MLP are ours.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.slot_mlp("multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    return config
