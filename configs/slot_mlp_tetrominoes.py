"""Slot MLP on Tetrominoes, 35x35, K = 4.

python -m ocgm.main --config=configs/slot_mlp_tetrominoes.py --workdir=DIR

EfficientMORL paper, from the Slot Attention paper: ARI-FG 25.1 +- 34.3. The sizes of the MLP are ours.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.slot_mlp("tetrominoes")
